// SPDX-License-Identifier: MPL-2.0

//! What goes out before the media, how packets are rewritten, and how it all ends.

use crate::rig::{Behaviour, Item, LIMIT, Made, Packet, Rig, opus_caps, vp8_caps, wait_until};
use gst::prelude::*;
use std::sync::{Mutex, mpsc};

fn assert_announced(events: &[gst::Event; 3], caps: &gst::Caps) {
    assert_eq!(events[0].type_(), gst::EventType::StreamStart);
    match events[1].view() {
        gst::EventView::Caps(event) => assert_eq!(event.caps(), caps.as_ref()),
        other => panic!("{other:?} instead of caps"),
    }
    match events[2].view() {
        gst::EventView::Segment(event) => {
            let segment = event.segment().downcast_ref::<gst::ClockTime>().unwrap();
            assert_eq!(segment.start(), Some(gst::ClockTime::ZERO));
        }
        other => panic!("{other:?} instead of a segment"),
    }
}

fn events(items: Vec<Item>) -> [gst::Event; 3] {
    let events = items.into_iter().map(|item| match item {
        Item::Event(event) => event,
        Item::Packet(packet) => panic!("{packet:?} instead of an event"),
    });
    events.collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn the_promised_caps_are_there_when_link_returns_even_without_a_source() {
    let rig = Rig::new();
    let caps = vp8_caps(42);
    let listener = rig.listener("ann", "bob", &caps);
    assert_announced(&events(listener.so_far()), &caps);
}

#[test]
fn caps_that_come_after_the_link_are_there_when_the_setter_returns() {
    let rig = Rig::new();
    let listener = rig.unlinked_listener("ann", Behaviour::Takes);
    listener.link();
    assert!(listener.so_far().is_empty());
    listener.src.set_property("caps", opus_caps(42));
    assert_announced(&events(listener.so_far()), &opus_caps(42));
}

#[test]
fn what_was_linked_before_the_start_is_announced_at_the_start() {
    let rig = Rig::stopped();
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    assert!(listener.so_far().is_empty());
    rig.mixer.set_state(gst::State::Paused).unwrap();
    assert_announced(&events(listener.so_far()), &opus_caps(42));
}

#[test]
fn another_link_is_told_everything_again() {
    let rig = Rig::new();
    let first = rig.listener("ann", "bob", &opus_caps(42));
    first.src.unlink(&first.pad).unwrap();
    first.so_far();
    first.link();
    assert_announced(&events(first.so_far()), &opus_caps(42));
}

#[test]
fn packets_that_come_at_once_leave_at_once() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let (heard, lists) = mpsc::channel();
    let heard = Mutex::new(heard);
    let pad = gst::Pad::builder(gst::PadDirection::Sink)
        .chain_list_function(move |_, _, list| {
            let packets: Vec<_> = list.iter().map(Packet::read).collect();
            let _ = heard.lock().unwrap().send(packets);
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    pad.set_active(true).unwrap();
    let listener = rig.unlinked_listener("ann", Behaviour::Takes);
    listener.src.set_property("caps", opus_caps(42));
    listener.src.link(&pad).unwrap();
    for indices in [0..3_u16, 3..10] {
        sender.push_audio_list(indices.clone());
        let packets = lists.recv_timeout(LIMIT).expect("a list comes out");
        let come: Vec<_> = packets.iter().map(Packet::index).collect();
        assert_eq!(come, indices.collect::<Vec<_>>());
        let follow = |pair: &[Packet]| pair[1].sequence == pair[0].sequence.wrapping_add(1);
        assert!(packets.windows(2).all(follow), "{packets:?}");
        assert!(packets.iter().all(|packet| packet.ssrc == 42), "{packets:?}");
    }
    wait_until("all are counted", || rig.stat(&listener.src, "packets") == 10);
}

#[test]
fn changed_caps_are_told_before_the_next_packet() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    sender.push_audio(0);
    assert_eq!(listener.packet().ssrc, 42);
    listener.src.set_property("caps", opus_caps(43));
    sender.push_audio(1);
    match listener.event().view() {
        gst::EventView::Caps(event) => assert_eq!(event.caps(), opus_caps(43).as_ref()),
        other => panic!("{other:?} instead of caps"),
    }
    assert_eq!(listener.packet().ssrc, 43);
}

#[test]
fn without_promised_caps_the_sources_own_go_out_with_a_fresh_ssrc() {
    let rig = Rig::new();
    let listener = rig.unlinked_listener("ann", Behaviour::Takes);
    listener.link();
    let mut caps = opus_caps(7);
    caps.make_mut().set("timestamp-offset", 99_u32);
    let sender = rig.sender("bob", &caps);
    sender.push_audio(0);
    assert_eq!(listener.event().type_(), gst::EventType::StreamStart);
    let event = listener.event();
    let gst::EventView::Caps(event) = event.view() else { panic!("{event:?} instead of caps") };
    let structure = event.caps().structure(0).unwrap();
    let ssrc = structure.get::<u32>("ssrc").unwrap();
    assert_ne!(ssrc, 7);
    assert_eq!(structure.get::<&str>("encoding-name"), Ok("OPUS"));
    assert!(!structure.has_field("timestamp-offset"));
    assert_eq!(listener.packet().ssrc, ssrc);
}

#[test]
fn packets_get_the_promised_form_and_keep_the_rest() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    for index in [10, 11, 14, 13] {
        sender.push_audio(index);
    }
    let packets = listener.packets(4);
    let first = &packets[0];
    for (packet, index) in packets.iter().zip([10_u16, 11, 14, 13]) {
        let distance = index - 10;
        assert_eq!(packet.ssrc, 42);
        assert_eq!(packet.payload_type, 111);
        assert!(packet.marker);
        assert_eq!(packet.index(), index, "the payload is the same");
        assert_eq!(packet.sequence.wrapping_sub(first.sequence), distance);
        let ticks = packet.timestamp.wrapping_sub(first.timestamp);
        assert_eq!(ticks, u32::from(distance) * 960);
        let time = gst::ClockTime::from_mseconds(u64::from(index) * 20);
        assert_eq!(packet.time, Some(time));
    }
}

#[test]
fn buffer_lists_and_packets_of_several_memories_go_through() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    let made = |sequence, payload| Made { ssrc: 7, sequence, timestamp: 0, time: 0, payload };
    let mut split = made(1, &[]).buffer();
    split.get_mut().unwrap().append_memory(gst::Memory::from_slice([1, 2, 3]));
    let mut list = gst::BufferList::new();
    list.get_mut().unwrap().add(made(0, &[9, 9]).buffer());
    list.get_mut().unwrap().add(split);
    assert_eq!(sender.pad.push_list(list), Ok(gst::FlowSuccess::Ok));
    assert_eq!(listener.packet().payload, [9, 9]);
    assert_eq!(listener.packet().payload, [1, 2, 3]);
}

#[test]
fn what_is_no_rtp_is_counted_and_harms_nobody() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    let rubbish = gst::Buffer::from_slice([1, 2, 3]);
    assert_eq!(sender.pad.push(rubbish), Ok(gst::FlowSuccess::Ok));
    sender.push_audio(5);
    assert_eq!(listener.packet().index(), 5);
    assert_eq!(rig.stat(&sender.sink, "malformed"), 1);
}

#[test]
fn running_time_is_what_the_sources_segment_says() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_mseconds(20));
    segment.set_base(gst::ClockTime::from_seconds(5));
    assert!(sender.pad.push_event(gst::event::Segment::new(&segment)));
    sender.push_audio(2);
    let expected = gst::ClockTime::from_mseconds(5020);
    assert_eq!(listener.packet().time, Some(expected));
}

#[test]
fn who_comes_back_goes_on_in_the_same_stream() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    sender.push_audio(100);
    let before = listener.packet();
    rig.release(&sender.sink);

    let again = rig.sender("bob", &opus_caps(8));
    again.push(Made {
        ssrc: 8,
        sequence: 60_000,
        timestamp: 1_000_000,
        time: 2500,
        payload: &[0, 1],
    });
    let after = listener.packet();
    assert_eq!(after.ssrc, before.ssrc);
    assert_eq!(after.sequence, before.sequence.wrapping_add(1));
    // From 2.0 s to 2.5 s, at 48 kHz.
    assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 24_000);
}

#[test]
fn the_newest_pad_of_a_participant_is_heard_while_the_old_one_is_still_there() {
    let rig = Rig::new();
    let old = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    old.push_audio(1);
    assert_eq!(listener.packet().index(), 1);
    let new = rig.sender("bob", &opus_caps(7));
    old.push_audio(2);
    new.push_audio(1000);
    assert_eq!(listener.packet().index(), 1000);
    rig.release(&new.sink);
    old.push_audio(3);
    assert_eq!(listener.packet().index(), 3, "the old one is what is left");
}

#[test]
fn a_route_follows_its_properties_while_playing() {
    let rig = Rig::new();
    let bob = rig.sender("bob", &opus_caps(7));
    let eve = rig.sender("eve", &opus_caps(8));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    bob.push_audio(1);
    assert_eq!(listener.packet().index(), 1);
    listener.src.set_property("source", "eve");
    bob.push_audio(2);
    eve.push_audio(1001);
    assert_eq!(listener.packet().index(), 1001);
    listener.src.set_property("receiver", "zoe");
    eve.push_audio(1002);
    assert_eq!(listener.packet().index(), 1002);
    eve.sink.set_property("participant", "eva");
    eve.push_audio(1003);
    bob.sink.set_property("participant", "eve");
    bob.push_audio(3);
    assert_eq!(listener.packet().index(), 3);
}

#[test]
fn a_stream_in_another_codec_than_promised_is_not_delivered() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &vp8_caps(7));
    let listener = rig.unlinked_listener("ann", Behaviour::Takes);
    listener.src.set_property("source", "bob");
    listener.src.set_property("caps", crate::rig::h264_caps(42));
    listener.link();
    sender.push_vp8(0, true);
    assert_eq!(rig.stat(&listener.src, "queued"), 0);
    assert_eq!(rig.stat(&listener.src, "packets"), 0);
}

#[test]
fn the_end_goes_out_after_the_media_when_all_sources_have_ended() {
    let rig = Rig::new();
    let bob = rig.sender("bob", &opus_caps(7));
    let eve = rig.sender("eve", &opus_caps(8));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    events(listener.so_far());
    bob.push_audio(1);
    assert!(bob.pad.push_event(gst::event::Eos::new()));
    assert!(matches!(listener.next(), Item::Packet(packet) if packet.index() == 1));
    eve.push_audio(2);
    assert!(eve.pad.push_event(gst::event::Eos::new()));
    assert_eq!(listener.event().type_(), gst::EventType::Eos);
}

#[test]
fn a_source_that_comes_after_the_end_opens_the_route_again() {
    let rig = Rig::new();
    let bob = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    events(listener.so_far());
    assert!(bob.pad.push_event(gst::event::Eos::new()));
    assert_eq!(listener.event().type_(), gst::EventType::Eos);
    let again = rig.sender("bob", &opus_caps(8));
    again.push_audio(9);
    let again = [listener.event(), listener.event(), listener.event()];
    assert_announced(&again, &opus_caps(42));
    assert_eq!(listener.packet().index(), 9);
}

#[test]
fn a_second_run_goes_on_where_the_first_stopped() {
    let rig = Rig::new();
    let sender = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    sender.push_audio(1);
    let before = listener.packet();
    rig.mixer.set_state(gst::State::Ready).unwrap();
    rig.mixer.set_state(gst::State::Playing).unwrap();
    assert_announced(&events(listener.so_far()), &opus_caps(42));
    sender.pad.set_active(false).unwrap();
    sender.pad.set_active(true).unwrap();
    sender.announce(&opus_caps(7));
    sender.push_audio(2);
    let after = listener.packet();
    assert_eq!(after.sequence, before.sequence.wrapping_add(1));
}

#[test]
fn latency_is_answered_here() {
    let rig = Rig::new();
    let _sender = rig.sender("bob", &opus_caps(7));
    let listener = rig.listener("ann", "bob", &opus_caps(42));
    let mut query = gst::query::Latency::new();
    assert!(listener.pad.peer_query(&mut query));
    assert_eq!(query.result(), (true, gst::ClockTime::ZERO, None));
}

#[test]
fn a_payloader_may_send_any_rtp_and_gets_no_buffers_from_here() {
    let rig = Rig::new();
    let sender = rig.silent_sender("bob");
    let caps = sender.pad.peer_query_caps(None);
    assert_eq!(caps, gst::Caps::new_empty_simple("application/x-rtp"));
    assert!(sender.pad.peer_query_accept_caps(&vp8_caps(1)));
    let raw = gst::Caps::new_empty_simple("video/x-raw");
    assert!(!sender.pad.peer_query_accept_caps(&raw));
    let mut query = gst::query::Allocation::new(Some(&vp8_caps(1)), true);
    assert!(!sender.pad.peer_query(&mut query));
}

#[test]
fn header_extensions_get_the_ids_that_were_promised() {
    let rig = Rig::new();
    let uri = "urn:ietf:params:rtp-hdrext:sdes:mid";
    let with = |ssrc, field: &str| {
        let mut caps = opus_caps(ssrc);
        caps.make_mut().set(field, uri);
        caps
    };
    let sender = rig.sender("bob", &with(7, "extmap-4"));
    let listener = rig.listener("ann", "bob", &with(42, "extmap-9"));
    let mut bytes = vec![0x90, 97, 0, 1, 0, 0, 0, 2, 0, 0, 0, 7];
    bytes.extend([0xbe, 0xde, 0, 1, 0x41, b'v', b'0', 0, 0xaa]);
    let buffer = gst::Buffer::from_mut_slice(bytes);
    assert_eq!(sender.pad.push(buffer), Ok(gst::FlowSuccess::Ok));
    let expected = [0xbe, 0xde, 0, 1, 0x91, b'v', b'0', 0, 0xaa];
    assert_eq!(listener.packet().payload, expected);
}

#[test]
fn each_receiver_may_keep_pictures_for_another_time() {
    const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
    let with_delay = |id: u8, ssrc| {
        let mut caps = vp8_caps(ssrc);
        caps.make_mut().set(format!("extmap-{id}"), PLAYOUT_DELAY);
        caps
    };
    let rig = Rig::new();
    let sender = rig.sender("bob", &with_delay(5, 7));
    let (heard, packets) = mpsc::channel();
    let receive = |receiver: &str, caps| {
        let (heard, receiver_name) = (Mutex::new(heard.clone()), receiver.to_owned());
        let pad = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function(move |_, _, packet| {
                let header = packet.map_readable().unwrap()[12..20].to_vec();
                let _ = heard.lock().unwrap().send((receiver_name.clone(), header));
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        pad.set_active(true).unwrap();
        let listener = rig.unlinked_listener(receiver, Behaviour::Takes);
        listener.src.set_property("caps", caps);
        listener.src.link(&pad).unwrap();
        (listener, pad)
    };
    let (ann, _ann_pad) = receive("ann", with_delay(5, 41));
    let _dan = receive("dan", with_delay(6, 42));
    let _eve = receive("eve", vp8_caps(43));
    let mut index = 0;
    // Each picture has two packets.
    let mut arrive = || {
        let picture = index / 2;
        let made = Made {
            ssrc: 7,
            sequence: index,
            timestamp: u32::from(picture) * 3000,
            time: u64::from(picture) * 33,
            payload: &[0x10, u8::from(picture > 0), 0xaa],
        };
        index += 1;
        let mut bytes = made.buffer().map_readable().unwrap().to_vec();
        bytes[0] |= 0x10;
        bytes.splice(12..12, [0xbe, 0xde, 0, 1, 0x52, 0, 0, 0]);
        let mut packet = gst::Buffer::from_mut_slice(bytes);
        packet.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(made.time));
        assert_eq!(sender.pad.push(packet), Ok(gst::FlowSuccess::Ok));
        let mut come: Vec<_> = (0..3).map(|_| packets.recv_timeout(LIMIT).unwrap()).collect();
        come.sort();
        come.into_iter().map(|(_, header)| header[4..].to_vec()).collect::<Vec<_>>()
    };
    let as_told = [[0x52, 0, 0, 0], [0x62, 0, 0, 0], [0x52, 0, 0, 0]];
    assert_eq!(arrive(), as_told);
    ann.src.set_property("max-playout-delay", 2570);
    assert_eq!(arrive(), as_told, "the picture has begun");
    assert_eq!(arrive(), [[0x52, 0, 1, 1], as_told[1], as_told[2]]);
    assert_eq!(arrive(), as_told, "where a picture begins, and nowhere else");
    ann.src.set_property("max-playout-delay", -1);
    assert_eq!(arrive(), as_told);
}
