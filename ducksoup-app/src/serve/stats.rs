// SPDX-License-Identifier: MPL-2.0

//! The stats feed of the stats page: the figures of the server and of all interactions, each second.
//!
//! ```text
//! {"server": {"version", "cores", "load", "sockets", "cost"}, "interactions": [{…, "cost"}]}
//! ```
//!
//! `cost` is what [`Meter`] tells of a process; `interactions` has what the roster tells of each run, and
//! under `stats` what its stage tells.

use super::Door;
use super::limits::{MAX_SOCKETS, STATS_PERIOD};
use super::lobby::{Request, RunFigures};
use super::meter::Meter;
use futures_util::{SinkExt as _, StreamExt as _};
use procfs::Current as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};
use warp::ws::{Message, WebSocket};

/// One reader of the figures.
#[derive(Debug)]
pub(crate) struct Figures {
    door: Arc<Door>,
    meter: Meter,
}

impl Figures {
    /// A reader whose first look has nothing to compare with.
    pub(crate) fn new(door: Arc<Door>) -> Self {
        Self { door, meter: Meter::default() }
    }

    /// The figures as they stand; none when the server is stopping.
    pub(crate) async fn read(&mut self) -> Option<Value> {
        let (reply, runs) = oneshot::channel();
        self.door.lobby.send(Request::Figures(reply)).await.ok()?;
        let runs: Vec<RunFigures> = runs.await.ok()?;
        let own = i32::try_from(std::process::id()).ok();
        let processes: Vec<_> = runs.iter().filter_map(|run| run.pid).chain(own).collect();
        // `/proc` is no disk, but other requests shall not wait for it either.
        let mut meter = std::mem::take(&mut self.meter);
        let looked = tokio::task::spawn_blocking(move || {
            let costs = meter.look(&processes, Instant::now());
            (costs, procfs::LoadAverage::current().ok().map(|load| load.one), meter)
        });
        let (costs, load, meter) = looked.await.ok()?;
        self.meter = meter;
        Some(json!({
            "server": {
                "version": env!("CARGO_PKG_VERSION"),
                "cores": std::thread::available_parallelism().map_or(1, usize::from),
                "load": load,
                "sockets": MAX_SOCKETS - self.door.sockets.available_permits(),
                "cost": own.and_then(|own| costs.get(&own)),
            },
            "interactions": runs.into_iter().map(|run| interaction(run, &costs)).collect::<Value>(),
        }))
    }
}

fn interaction(run: RunFigures, costs: &BTreeMap<i32, Value>) -> Value {
    let RunFigures { mut told, pid } = run;
    let cost = pid.and_then(|pid| costs.get(&pid)).cloned().unwrap_or_default();
    told.insert("cost".into(), cost);
    Value::Object(told)
}

/// Sends them until the page goes, does not take what it is sent, or the server stops.
pub(crate) async fn feed(mut web: WebSocket, door: Arc<Door>) {
    let limit = door.config.limits.write;
    let mut figures = Figures::new(door);
    let mut ticks = interval(STATS_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let Some(figures) = figures.read().await else { break };
                let text = json!({"kind": "stats", "payload": figures}).to_string();
                let sent = timeout(limit, web.send(Message::text(text))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
            frame = web.next() => match frame {
                Some(Ok(message)) if !message.is_close() => {}
                _ => break,
            }
        }
    }
    let _ = timeout(limit, web.close()).await;
}
