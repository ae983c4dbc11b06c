// SPDX-License-Identifier: MPL-2.0

//! What may be an effect, asked of the elements that are really installed.

#![allow(clippy::unwrap_used)]

use gst::prelude::*;
use gstducksoup::fxcontrol::{
    DescriptionError, ElementRefusal, FxError, MediaKind, Policy, PropertyRefusal, TargetError,
    check,
};
use std::sync::Once;

fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstducksoup::plugin_register_static().unwrap();
    });
}

fn check_audio(description: &str) -> Result<(), FxError> {
    check(description, MediaKind::Audio, &Policy::default())
}

fn check_video(description: &str) -> Result<(), FxError> {
    check(description, MediaKind::Video, &Policy::default())
}

#[test]
fn real_effects_are_effects() {
    init();
    for description in [
        "",
        "pitch pitch=0.8 name=fx",
        "pitch pitch=0.1",
        "volume volume=0.5 mute=true",
        "audioecho delay=200000000 intensity=0.4 ! volume",
        "audiocheblimit mode=high-pass cutoff=100",
        "audiopanorama method=simple",
        "level",
        "audiokaraoke",
    ] {
        assert_eq!(check_audio(description), Ok(()), "{description}");
    }
    for description in [
        "",
        "coloreffects preset=sepia name=fx",
        "videobalance saturation=0.0 ! videoflip method=horizontal-flip",
        "agingtv scratch-lines=3",
        "gaussianblur sigma=2",
    ] {
        assert_eq!(check_video(description), Ok(()), "{description}");
    }
}

#[test]
fn an_effect_of_the_other_kind_is_refused() {
    init();
    for (description, kind) in [
        ("pitch", MediaKind::Video),
        ("coloreffects", MediaKind::Audio),
        ("volume ! coloreffects", MediaKind::Audio),
    ] {
        let refused = check(description, kind, &Policy::default());
        assert!(
            matches!(refused, Err(FxError::Element { why: ElementRefusal::Pads(_), .. })),
            "{description} {refused:?}"
        );
    }
}

#[test]
fn whatever_reaches_outside_is_refused_and_leaves_no_trace() {
    init();
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let trace = trace.to_str().unwrap();
    let descriptions = [
        format!("tee ! filesink location={trace}"),
        format!("volume ! tee name=t t. ! filesink location={trace}"),
        format!("filesink location={trace}"),
        format!("multifilesink location={trace}"),
        format!("splitmuxsink location={trace}"),
        format!("gdppay ! filesink location={trace}"),
        format!("shmsink socket-path={trace}"),
        "filesrc location=/etc/passwd".into(),
        "udpsink host=127.0.0.1 port=9".into(),
        "tcpserversink port=0".into(),
        "souphttpsrc location=http://127.0.0.1/".into(),
        "rtspsrc location=rtsp://127.0.0.1/".into(),
        "v4l2src device=/dev/video0".into(),
        "playbin uri=file:///etc/passwd".into(),
        "decodebin".into(),
        "uridecodebin uri=file:///etc/passwd".into(),
        "autovideoconvert".into(),
        "autoaudiosink".into(),
        "webrtcbin".into(),
        "rtpbin".into(),
        "fxcontrol fx=volume".into(),
        "fakesink".into(),
        "appsrc".into(),
        "appsink".into(),
        "proxysink".into(),
        "intersink".into(),
        "identity".into(),
        "queue".into(),
        "valve".into(),
        "capsfilter caps=audio/x-raw".into(),
        "clocksync".into(),
        "debugspy".into(),
        "videocodectestsink".into(),
        "imagefreeze".into(),
        "videorate".into(),
        "opusenc".into(),
        "vp8enc".into(),
        "wavenc".into(),
        "rawaudioparse".into(),
        "rtpL16pay".into(),
        "audiomixer".into(),
        "compositor".into(),
        "(volume)".into(),
        "audio/x-raw,rate=8000 ! volume".into(),
        "nosuchelement".into(),
    ];
    for description in descriptions {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let refused = check(&description, kind, &Policy::default());
            assert!(refused.is_err(), "{kind:?} {description}");
            let sentence = refused.unwrap_err().to_string();
            assert!(!sentence.contains(trace), "{sentence}");
        }
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn every_installed_element_that_passes_is_a_plain_filter() {
    init();
    let policy = Policy::default();
    let features = gst::Registry::get().features(gst::ElementFactory::static_type());
    let mut effects = 0;
    for factory in features {
        let factory = factory.downcast::<gst::ElementFactory>().unwrap();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            if check(&factory.name(), kind, &policy).is_err() {
                continue;
            }
            effects += 1;
            let element = factory.create().build().unwrap();
            assert!(!element.is::<gst::Bin>(), "{}", factory.name());
            assert!(!element.is::<gst::URIHandler>(), "{}", factory.name());
            let ends = gst::ElementFlags::SOURCE | gst::ElementFlags::SINK;
            assert!(!element.element_flags().intersects(ends), "{}", factory.name());
            assert_eq!(element.src_pads().len(), 1, "{}", factory.name());
        }
    }
    assert!(effects > 20, "{effects}");
}

#[test]
fn wrong_names_types_and_ranges_are_refused_with_a_sentence() {
    init();
    for (description, sentence) in [
        ("nosuchelement", "there is no element \"nosuchelement\""),
        ("volume loudness=1", "\"volume0\" has no property \"loudness\""),
        ("volume volume=11 name=fx", "\"volume\" of \"fx\": 11 is outside 0 to 10"),
        ("volume volume=loud", "\"volume\" of \"volume0\": \"loud\" is not a number"),
        ("volume volume=nan", "\"volume\" of \"volume0\": the value is not finite"),
        ("volume mute=2", "\"mute\" of \"volume0\": \"2\" is not true or false"),
        (
            "audioecho max-delay=18000000000000000000",
            "\"max-delay\" of \"audioecho0\": it asks for more than an effect may use",
        ),
        ("volume parent=x", "\"parent\" of \"volume0\": it is not part of the effect"),
        ("volume name=a ! volume name=a", "two effects have the name \"a\""),
        ("tee", "\"tee\" cannot be an effect here: it does more than change media"),
        ("volume !", "an effect is missing beside a \"!\""),
    ] {
        let refused = check_audio(description).unwrap_err();
        assert_eq!(refused.to_string(), sentence, "{description}");
    }
    let refused = check_video("coloreffects preset=nice").unwrap_err();
    assert!(
        matches!(&refused, FxError::Value { why: TargetError::Wrong { .. }, .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("sepia"), "{refused}");
}

#[test]
fn too_long_and_too_many_are_refused() {
    init();
    let many = ["volume"; 9].join(" ! ");
    assert_eq!(check_audio(&many), Err(FxError::Description(DescriptionError::TooMany)));
    assert_eq!(
        check_audio(&"a".repeat(2049)),
        Err(FxError::Description(DescriptionError::TooLong))
    );
}

#[test]
fn a_file_must_lie_in_the_operators_folders() {
    init();
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("effects");
    std::fs::create_dir(&folder).unwrap();
    for path in ["effects/hat.png", "secret.png"] {
        std::fs::write(root.path().join(path), "not opened by the check").unwrap();
    }
    std::os::unix::fs::symlink(root.path().join("secret.png"), folder.join("link.png")).unwrap();
    let policy = Policy { folders: vec![folder.clone()], ..Policy::default() };
    let location = |path: &str| format!("gdkpixbufoverlay location=\"{path}\" name=fx");
    let inside = folder.join("hat.png");
    let refused = Err(FxError::Property {
        effect: "fx".into(),
        property: "location".into(),
        why: PropertyRefusal::File,
    });
    for (path, policy, wanted) in [
        (inside.to_str().unwrap(), &policy, Ok(())),
        ("hat.png", &policy, Ok(())),
        (inside.to_str().unwrap(), &Policy::default(), refused.clone()),
        ("link.png", &policy, refused.clone()),
        ("../secret.png", &policy, refused.clone()),
        ("/etc/passwd", &policy, refused.clone()),
        ("new.png", &policy, refused.clone()),
        ("", &policy, refused),
    ] {
        let checked = check(&location(path), MediaKind::Video, policy);
        assert_eq!(checked, wanted, "{path}");
        if let Err(error) = checked {
            assert!(!error.to_string().contains(root.path().to_str().unwrap()));
        }
    }
}

#[test]
fn the_operator_lengthens_and_shortens_the_list() {
    init();
    let policy = Policy::from_lists("identity,filesink", "pitch", "");
    assert_eq!(check("identity", MediaKind::Audio, &policy), Ok(()));
    assert!(check("pitch", MediaKind::Audio, &policy).is_err());
    assert!(check("filesink", MediaKind::Audio, &policy).is_err());
    assert_eq!(check("volume", MediaKind::Audio, &policy), Ok(()));
}

#[test]
fn a_refused_description_fails_the_start_with_one_error_message() {
    init();
    for (fx, timeline, sentence) in [
        ("filesrc location=/etc/passwd", "", "classified as Source"),
        ("volume name=fx", "1 fx volume 11", "line 1: \"volume\" of \"fx\""),
        ("volume name=fx", "0 fx volume 1\n1 gx volume 1", "line 2: no effect"),
        ("volume name=fx", "soon fx volume 1", "line 1: \"soon\" is no number"),
    ] {
        let element = gst::ElementFactory::make("fxcontrol")
            .property("fx", fx)
            .property("timeline", timeline)
            .build()
            .unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        assert!(element.set_state(gst::State::Ready).is_err(), "{fx}");
        let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
        let gst::MessageView::Error(error) = message.view() else { panic!("filtered") };
        assert!(error.error().to_string().contains(sentence), "{}", error.error());
        assert_eq!(element.num_src_pads(), 1);
        element.set_state(gst::State::Null).unwrap();
    }
}
