// SPDX-License-Identifier: MPL-2.0

//! What sender reports tell of when media were taken. Read here, since what `rtpbin` makes of them is too rough: it counts
//! in where a stream's first packets happened to arrive, for seconds, and leaves what is less than 4 ms as it is.

use super::rtcp::{self, Packet};
use gst::glib;
use gst::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many streams of a connection are remembered at most. Ours: sound and picture, and a new SSRC of each now and then;
/// whoever tells of more tells of nothing that is there.
const STREAMS: usize = 16;

/// Which time belongs to which timestamp of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    /// RTP timestamp.
    pub(super) stamp: u32,
    /// When what bears it was taken, in ns of its sender's clock (NTP).
    pub(super) time: i64,
}

/// The newest report of each stream of a connection, by its SSRC.
#[derive(Debug, Clone, Default)]
pub(super) struct Reports(Arc<Mutex<BTreeMap<u32, Report>>>);

impl Reports {
    /// Of the connection of this `webrtcbin`, which has no session yet. Its streams are not moved by `rtpbin` any more.
    pub(super) fn of(webrtcbin: &gst::Element) -> Self {
        let reports = Self::default();
        let Some(bin) = webrtcbin.downcast_ref::<gst::Bin>() else { return reports };
        if let Some(rtpbin) = bin.by_name("rtpbin") {
            rtpbin.set_property("min-ts-offset", u64::MAX);
        }
        let own = reports.clone();
        listen(bin, move |compound| own.hear(compound));
        reports
    }

    /// The newest one of a stream.
    pub(super) fn newest(&self, ssrc: u32) -> Option<Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&ssrc).copied()
    }

    /// Takes the sender reports out of a compound packet.
    pub(super) fn hear(&self, compound: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (ssrc, report) in read(compound) {
            if all.len() < STREAMS || all.contains_key(&ssrc) {
                all.insert(ssrc, report);
            }
        }
    }
}

/// Gives on each compound packet that comes to an RTP session of this bin, of those that are not there yet.
pub fn listen(bin: &gst::Bin, hear: impl Fn(&[u8]) + Clone + Send + Sync + 'static) {
    bin.connect_deep_element_added(move |_, _, element| {
        if element.factory().is_none_or(|factory| factory.name() != "rtpsession") {
            return;
        }
        let hear = hear.clone();
        let session = element.property::<glib::Object>("internal-session");
        session.connect_closure(
            "on-receiving-rtcp",
            false,
            glib::closure!(move |_session: glib::Object, packet: gst::Buffer| {
                if let Ok(bytes) = packet.map_readable() {
                    hear(&bytes);
                }
            }),
        );
    });
}

/// The sender reports in a compound packet, up to where it is cut.
fn read(compound: &[u8]) -> Vec<(u32, Report)> {
    let report = |packet| match packet {
        // A sender without a clock says 0 (RFC 3550, 6.4.1).
        Packet::SenderReport { ssrc, ntp, timestamp: stamp, .. } if ntp != 0 => {
            let time = i64::try_from((u128::from(ntp) * 1_000_000_000) >> 32).ok()?;
            Some((ssrc, Report { stamp, time }))
        }
        _ => None,
    };
    rtcp::read(compound).into_iter().filter_map(report).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// A sender report without blocks: version 2, six words behind the first.
    fn report(ssrc: u32, seconds: u32, stamp: u32) -> Vec<u8> {
        words(&[0x80c8_0006, ssrc, seconds, 1 << 31, stamp, 10, 1000])
    }

    #[test]
    fn sender_reports_are_found_among_others_up_to_where_a_packet_is_cut() {
        let description = words(&[0x81ca_0001, 7]);
        let receiver = words(&[0x80c9_0001, 7]);
        let compound = [report(7, 100, 48), description, report(8, 200, 90), receiver].concat();
        let half = 500_000_000;
        let first = (7, Report { stamp: 48, time: 100_000_000_000 + half });
        let second = (8, Report { stamp: 90, time: 200_000_000_000 + half });
        assert_eq!(read(&compound), [first, second]);
        assert_eq!(read(&compound[..40]), [first]);
        assert_eq!(read(&compound[..20]), []);
        assert_eq!(read(&words(&[0x80c8_0001, 7])), [], "too short to tell anything");
        assert_eq!(read(&words(&[0x80c8_0006, 7, 0, 0, 48, 10, 1000])), [], "no clock");
        assert_eq!(read(&[]), []);
    }

    #[test]
    fn the_newest_report_of_a_stream_counts_and_a_flood_of_strangers_is_forgotten() {
        let reports = Reports::default();
        reports.hear(&report(7, 100, 48));
        for stranger in 100..200 {
            reports.hear(&report(stranger, 1, 1));
        }
        reports.hear(&report(7, 105, 240_048));
        let time = 105_500_000_000;
        assert_eq!(reports.newest(7), Some(Report { stamp: 240_048, time }));
        assert_eq!(reports.newest(199), None);
    }
}
