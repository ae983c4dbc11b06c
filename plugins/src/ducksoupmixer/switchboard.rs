// SPDX-License-Identifier: MPL-2.0

//! The pads, receivers and routes of the conversation at this moment. Nothing is pushed from here: what is to
//! be done outside the lock comes back as [`Errands`].

use super::lane::{Lane, Source};
use super::lock;
use super::pad::{MixerSinkPad, MixerSrcPad, sink::Target};
use super::receiver::Receiver;
use super::routing::{self, Kind, Stream, Wanted};
use super::share::{self, Share, Terms};
use super::stats::Census;
use gst::subclass::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A source pad and where it belongs.
#[derive(Debug)]
struct Route {
    pad: MixerSrcPad,
    receiver: Arc<Receiver>,
    /// Whom it has, or had while they were here.
    current: Option<(String, Kind)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Switchboard {
    sinks: BTreeMap<u32, MixerSinkPad>,
    routes: BTreeMap<u32, Route>,
    receivers: BTreeMap<String, Arc<Receiver>>,
    /// From source pads to sink pads.
    edges: BTreeMap<u32, u32>,
    /// What each receiver can take, bit/s.
    estimates: BTreeMap<String, u32>,
    /// The source pads that were last told to pause.
    paused: BTreeSet<u32>,
    running: bool,
    next_id: u32,
    next_sink: u32,
    next_src: u32,
}

/// What a change entails outside the lock.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Errands {
    /// New video routes and their sources: ask for a keyframe.
    pub newcomers: Vec<(Target, MixerSinkPad)>,
    /// Sources and the bitrate (bit/s) to tell them.
    pub shares: Vec<(MixerSinkPad, u32)>,
    /// Routes that rest from here on, or no longer.
    pub pauses: Vec<Pause>,
}

/// A picture that goes to a receiver no more, or again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pause {
    pub receiver: String,
    /// Whose picture it is.
    pub source: String,
    pub paused: bool,
}

impl Switchboard {
    pub(super) fn next_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// The number for the name of the next pad: never given twice, so that two who ask at once get two.
    pub(super) fn next_number(&mut self, direction: gst::PadDirection) -> u32 {
        let next = match direction {
            gst::PadDirection::Sink => &mut self.next_sink,
            _ => &mut self.next_src,
        };
        *next += 1;
        *next - 1
    }

    pub(super) fn add_sink(&mut self, id: u32, pad: &MixerSinkPad) {
        self.sinks.insert(id, pad.clone());
    }

    pub(super) fn remove_sink(&mut self, id: u32) {
        if let Some(pad) = self.sinks.remove(&id) {
            lock(&pad.imp().state).targets = Arc::new([]);
        }
    }

    pub(super) fn add_route(&mut self, id: u32, pad: &MixerSrcPad, stream: String) {
        let receiver = self.receiver(&pad.imp().receiver());
        let mut lane = Lane::new(id, pad.clone(), stream);
        lane.set_promised(pad.imp().promised());
        receiver.add(lane);
        if self.running {
            receiver.start();
        }
        let route = Route { pad: pad.clone(), receiver, current: None };
        self.routes.insert(id, route);
    }

    pub(super) fn remove_route(&mut self, id: u32) {
        if let Some(route) = self.routes.remove(&id) {
            route.receiver.remove(id);
            self.forget_if_empty(&route.receiver);
        }
    }

    /// A source pad's properties changed: it may belong to another receiver now.
    pub(super) fn route_changed(&mut self, id: u32) {
        let Some(route) = self.routes.get(&id) else {
            return;
        };
        let name = route.pad.imp().receiver();
        let old = Arc::clone(&route.receiver);
        if old.name() != name {
            let new = self.receiver(&name);
            if let Some(lane) = old.remove(id) {
                new.add(lane);
            }
            if self.running {
                new.start();
            }
            if let Some(route) = self.routes.get_mut(&id) {
                route.receiver = new;
            }
            self.forget_if_empty(&old);
        }
    }

    fn receiver(&mut self, name: &str) -> Arc<Receiver> {
        let receiver = self.receivers.entry(name.to_owned()).or_insert_with(|| Receiver::new(name));
        Arc::clone(receiver)
    }

    fn forget_if_empty(&mut self, receiver: &Receiver) {
        if receiver.is_empty() {
            self.receivers.remove(receiver.name());
            self.estimates.remove(receiver.name());
        }
    }

    /// The receiver that a source pad belongs to.
    pub(super) fn receiver_of(&self, route: u32) -> Option<Arc<Receiver>> {
        Some(Arc::clone(&self.routes.get(&route)?.receiver))
    }

    /// The sink pad that a source pad gets its packets from.
    pub(super) fn source_of(&self, route: u32) -> Option<MixerSinkPad> {
        self.sinks.get(self.edges.get(&route)?).cloned()
    }

    pub(super) fn receivers(&self) -> Vec<Arc<Receiver>> {
        self.receivers.values().cloned().collect()
    }

    pub(super) fn sinks(&self) -> Vec<MixerSinkPad> {
        self.sinks.values().cloned().collect()
    }

    /// All source pads and their receivers.
    pub(super) fn routes(&self) -> Vec<(u32, Arc<Receiver>)> {
        let routes = self.routes.iter();
        routes.map(|(id, route)| (*id, Arc::clone(&route.receiver))).collect()
    }

    /// There are sources, and all have ended.
    pub(super) fn all_ended(&self) -> bool {
        let mut sinks = self.sinks.values();
        !self.sinks.is_empty() && sinks.all(|pad| lock(&pad.imp().state).ended)
    }

    /// Starts or stops the sending threads. Stopping does not wait.
    pub(super) fn set_running(&mut self, running: bool) {
        self.running = running;
        for receiver in self.receivers.values() {
            if running {
                receiver.start();
            } else {
                receiver.stop();
            }
        }
    }

    /// Lets every route find its source anew.
    pub(super) fn reroute(&mut self, terms: Terms) -> Errands {
        let edges = routing::route(&self.streams(), &self.wanted());
        let before = std::mem::replace(&mut self.edges, edges);
        self.connect_routes();
        self.connect_sinks();
        let errands = self.shares(terms);
        Errands { newcomers: self.newcomers(&before), ..errands }
    }

    fn streams(&self) -> Vec<Stream> {
        let streams = self.sinks.iter().filter_map(|(id, pad)| {
            let imp = pad.imp();
            Some(Stream {
                sink: *id,
                participant: imp.participant(),
                kind: imp.kind()?,
                encoding: encoding(lock(&imp.state).caps.as_ref()),
            })
        });
        streams.collect()
    }

    fn wanted(&self) -> Vec<Wanted> {
        let wanted = self.routes.iter().map(|(id, route)| {
            let imp = route.pad.imp();
            Wanted {
                src: *id,
                receiver: imp.receiver(),
                source: imp.source(),
                kind: imp.kind(),
                encoding: encoding(imp.promised().as_ref()),
                current: route.current.clone(),
            }
        });
        wanted.collect()
    }

    fn connect_routes(&mut self) {
        for (id, route) in &mut self.routes {
            let source = self.edges.get(id).and_then(|sink| {
                let imp = self.sinks.get(sink)?.imp();
                let source =
                    Source { sink: *sink, kind: imp.kind()?, caps: lock(&imp.state).caps.clone() };
                route.current = Some((imp.participant(), source.kind));
                Some(source)
            });
            route.receiver.with(*id, |lane| lane.set_source(source));
        }
    }

    fn connect_sinks(&self) {
        for (id, pad) in &self.sinks {
            let edges = self.edges.iter().filter(|(_, sink)| *sink == id);
            let targets = edges.filter_map(|(src, _)| self.target(*src));
            lock(&pad.imp().state).targets = targets.collect();
        }
    }

    fn target(&self, src: u32) -> Option<Target> {
        let route = self.routes.get(&src)?;
        Some(Target { receiver: Arc::clone(&route.receiver), lane: src, pad: route.pad.clone() })
    }

    /// The video routes that are new, and their sources.
    fn newcomers(&self, before: &BTreeMap<u32, u32>) -> Vec<(Target, MixerSinkPad)> {
        let new = self.edges.iter().filter(|(src, sink)| before.get(src) != Some(sink));
        let new = new.filter_map(|(src, sink)| {
            let pad = self.sinks.get(sink)?;
            let target = self.target(*src)?;
            pad.imp().wants_asking().then(|| (target, pad.clone()))
        });
        new.collect()
    }

    /// Takes what a receiver can take, told on one of its source pads.
    pub(super) fn estimate(&mut self, route: u32, bitrate: u32, terms: Terms) -> Errands {
        if let Some(receiver) = self.receiver_of(route) {
            self.estimates.insert(receiver.name().to_owned(), bitrate);
        }
        self.shares(terms)
    }

    fn shares(&mut self, terms: Terms) -> Errands {
        if self.estimates.is_empty() && self.paused.is_empty() {
            return Errands::default();
        }
        let routes = self.edges.iter().filter_map(|(src, sink)| {
            Some(Share {
                route: *src,
                receiver: self.routes.get(src)?.receiver.name().to_owned(),
                sink: *sink,
                kind: self.sinks.get(sink)?.imp().kind()?,
            })
        });
        let shares = share::shares(&self.estimates, &routes.collect::<Vec<_>>(), terms);
        let mut pauses = Vec::new();
        for id in shares.paused.symmetric_difference(&self.paused) {
            if let Some(route) = self.routes.get(id) {
                let paused = shares.paused.contains(id);
                route.receiver.note(*id, |lane| lane.set_paused(paused));
                let receiver = route.receiver.name().to_owned();
                // Where it has no source any more, nothing is sent again.
                let sent = paused || self.edges.contains_key(id);
                if let Some((source, _)) = route.current.clone().filter(|_| sent) {
                    pauses.push(Pause { receiver, source, paused });
                }
            }
        }
        self.paused = shares.paused;
        let news = shares.told.into_iter().filter_map(|(sink, bitrate)| {
            let pad = self.sinks.get(&sink)?;
            let told = lock(&pad.imp().state).told;
            (told != Some(bitrate)).then(|| (pad.clone(), bitrate))
        });
        Errands { newcomers: Vec::new(), shares: news.collect(), pauses }
    }

    /// Whom the element's `stats` tell of.
    pub(super) fn census(&self) -> Census {
        let sources = self
            .edges
            .iter()
            .filter_map(|(route, sink)| Some((*route, self.sinks.get(sink)?.imp().participant())));
        Census { receivers: self.receivers(), sources: sources.collect(), sinks: self.sinks() }
    }
}

fn encoding(caps: Option<&gst::Caps>) -> Option<String> {
    caps?.structure(0)?.get("encoding-name").ok()
}
