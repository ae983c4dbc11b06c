// SPDX-License-Identifier: MPL-2.0

//! libnice's agent inside a `webrtcbin`: what `webrtcbin` itself does not let one set.

use gst::glib;
use gst::prelude::*;

/// The agent, where ICE is libnice's.
#[must_use]
pub fn agent(webrtcbin: &gst::Element) -> Option<glib::Object> {
    const AGENT: &str = "agent";
    let ice = webrtcbin.property::<gst::Object>("ice-agent");
    ice.find_property(AGENT)?;
    ice.property::<Option<glib::Object>>(AGENT)
}

/// Asks no router for ports. libnice would by default, for each connection anew: it opens a port of its own to be
/// called back on, which is a matter of luck where many connections begin at once, and says for a while longer that
/// candidates are still to come. Who needs a way through a router has STUN and TURN.
pub fn no_upnp(webrtcbin: &gst::Element) {
    const UPNP: &str = "upnp";
    if let Some(agent) = agent(webrtcbin)
        && agent.find_property(UPNP).is_some()
    {
        agent.set_property(UPNP, false);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_router_is_asked_for_ports() {
        gst::init().unwrap();
        let webrtcbin = gst::ElementFactory::make("webrtcbin").build().unwrap();
        let nice = agent(&webrtcbin).unwrap();
        nice.set_property("upnp", true);
        no_upnp(&webrtcbin);
        assert!(!nice.property::<bool>("upnp"));
    }
}
