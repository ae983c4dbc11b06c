// SPDX-License-Identifier: MPL-2.0

//! The stats feed of the stats page: the figures of all interactions, each second.

use super::Door;
use super::limits::STATS_PERIOD;
use super::lobby::Request;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};
use warp::ws::{Message, WebSocket};

/// The figures as they stand; none when the server is stopping.
pub(crate) async fn figures(door: &Door) -> Option<Value> {
    let (reply, figures) = oneshot::channel();
    door.lobby.send(Request::Figures(reply)).await.ok()?;
    figures.await.ok()
}

/// Sends them until the page goes, does not take what it is sent, or the server stops.
pub(crate) async fn feed(mut web: WebSocket, door: Arc<Door>) {
    let mut ticks = interval(STATS_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let Some(figures) = figures(&door).await else { break };
                let text = json!({"kind": "stats", "payload": figures}).to_string();
                let sent = timeout(door.config.limits.write, web.send(Message::text(text))).await;
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
    let _ = timeout(door.config.limits.write, web.close()).await;
}
