// SPDX-License-Identifier: MPL-2.0

//! What is written beside an output: what it is, and where it shows what nobody recorded. The
//! technical fields are those of the BIDS extension proposal for such recordings (see `bids.rs`);
//! ours stand together under `DuckSoup`. Pure.

use super::grid::SECOND;
use super::plan::{Cut, Plan, Side, Size, Source, Take};
use super::sound::{self, Span};
use crate::archive::manifest::Manifest;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// What became of one participant's pictures and sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// Slots without a picture.
    pub(crate) black: Vec<(u64, u64)>,
    /// Samples of the run's timeline without sound.
    pub(crate) silent: Vec<Span>,
}

/// Which of an output's files is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Sound alone.
    Sound,
    /// Sound and picture.
    Movie(Size),
}

/// When an output's zero is, UTC.
pub(crate) fn zero(plan: &Plan) -> Timestamp {
    let from = i64::try_from(plan.cut.from).unwrap_or(i64::MAX);
    plan.started.checked_add(SignedDuration::from_nanos(from)).unwrap_or(plan.started)
}

/// The technical fields.
pub(crate) fn technical(cut: Cut, content: Content, channels: usize) -> Map<String, Value> {
    let (codec, rfc) = match content {
        Content::Sound => ("pcm_s16le", None),
        Content::Movie(_) => ("aac", Some("mp4a.40.2")),
    };
    let mut fields = object(json!({
        "RecordingDuration": cut.seconds(),
        "AudioCodec": codec,
        "AudioSampleRate": sound::RATE,
        "AudioChannelCount": channels,
    }));
    if let Some(rfc) = rfc {
        fields.insert("AudioCodecRFC6381".into(), rfc.into());
    } else {
        fields.insert("AudioBitDepth".into(), 16.into());
    }
    if let Content::Movie(Size { width, height }) = content {
        fields.append(&mut object(json!({
            "VideoCodec": "h264",
            "VideoFrameRate": cut.framerate,
            "VideoFrameCount": cut.frames,
            "ImageWidth": width,
            "ImageHeight": height,
            "ImagePixelFormat": "yuv420p",
            "ImageBitDepth": 8,
        })));
    }
    fields
}

/// What only we know, of one take.
pub(crate) fn own(manifest: &Manifest, plan: &Plan, take: &Take, made: &Made) -> Value {
    let mut fields = common(manifest, plan, take.side);
    fields.insert("User".into(), take.user.as_str().into());
    fields.insert("Recordings".into(), recordings(plan, take));
    fields.insert("Sound".into(), heard(plan.cut, take, made));
    if take.picture.is_some() {
        fields.insert("Picture".into(), picture(plan.cut, take, made));
    }
    let options = manifest.participants.iter().find(|(user, _)| user.as_str() == take.user);
    if let (Some((_, options)), Side::Wet) = (options, take.side) {
        fields.insert("AudioEffect".into(), json!(options.audio_fx));
        fields.insert("VideoEffect".into(), json!(options.video_fx));
    }
    Value::Object(fields)
}

/// What only we know, of all participants side by side.
pub(crate) fn own_composite(
    manifest: &Manifest,
    plan: &Plan,
    side: Side,
    people: &[(&Take, (usize, usize), Made)],
) -> Value {
    let mut fields = common(manifest, plan, side);
    let people = people.iter().map(|(take, (x, y), made)| {
        json!({
            "User": take.user,
            "Side": take.side.word(),
            "X": x,
            "Y": y,
            "Recordings": recordings(plan, take),
            "Sound": heard(plan.cut, take, made),
            "Picture": picture(plan.cut, take, made),
        })
    });
    fields.insert("People".into(), people.collect());
    Value::Object(fields)
}

fn common(manifest: &Manifest, plan: &Plan, side: Side) -> Map<String, Value> {
    object(json!({
        "Run": manifest.id,
        "Namespace": manifest.namespace,
        "Interaction": manifest.interaction,
        "State": manifest.state,
        "Side": side.word(),
        "Zero": zero(plan).to_string(),
        "ZeroAfterStart": seconds(i64::try_from(plan.cut.from).unwrap_or(i64::MAX)),
        "RecordedBy": manifest.version,
        "ExportedBy": env!("CARGO_PKG_VERSION"),
    }))
}

fn recordings(plan: &Plan, take: &Take) -> Value {
    let mut files: Vec<&Source> = take.video.iter().chain(&take.audio).collect();
    files.sort_by_key(|source| (source.offset, &source.name));
    files.dedup_by_key(|source| &source.name);
    let file = |source: &Source| {
        let offset = seconds(i64::try_from(source.offset).unwrap_or(i64::MAX));
        json!({
            "Name": source.name,
            "SHA256": plan.hashes.get(&source.name),
            "ZeroAfterStart": offset,
        })
    };
    files.into_iter().map(file).collect()
}

/// Where pictures were missing, and where nothing is seen. In a gap the picture before it stays.
fn picture(cut: Cut, take: &Take, made: &Made) -> Value {
    let slot = |slot: u64| seconds(cut.rate().time(slot) - cut.rate().start);
    let black = made.black.iter().map(|(from, to)| json!([slot(*from), slot(*to)]));
    json!({"Gaps": gaps(cut, &take.video), "Black": black.collect::<Vec<_>>()})
}

/// Where sound was missing, and where there is no recording; both are silent.
fn heard(cut: Cut, take: &Take, made: &Made) -> Value {
    let start = sound::samples(cut.rate().start);
    let time = |sample: i64| seconds(sound::nanoseconds(sample - start));
    let silent = made.silent.iter().map(|(from, to)| json!([time(*from), time(*to)]));
    json!({"Gaps": gaps(cut, &take.audio), "Unrecorded": silent.collect::<Vec<_>>()})
}

/// The gaps that the recorder found.
fn gaps(cut: Cut, sources: &[Source]) -> Vec<Value> {
    let gaps = sources.iter().flat_map(|source| &source.gaps);
    gaps.filter_map(|gap| within(cut, gap.from, gap.to)).collect()
}

/// A span of the run's timeline on that of the output, if any of it is there.
fn within(cut: Cut, from: u64, to: u64) -> Option<Value> {
    let rate = cut.rate();
    let after = |time: u64| {
        let after = i64::try_from(time).unwrap_or(i64::MAX).saturating_sub(rate.start);
        after.clamp(0, rate.time(cut.frames) - rate.start)
    };
    let (from, to) = (after(from), after(to));
    (from < to).then(|| json!([seconds(from), seconds(to)]))
}

/// To the microsecond.
#[allow(clippy::cast_precision_loss)] // hours in microseconds
fn seconds(nanoseconds: i64) -> f64 {
    (nanoseconds / 1000) as f64 / (SECOND / 1000) as f64
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
