// SPDX-License-Identifier: MPL-2.0

//! Every message of the logs: its context, its level, what it means and what it tells. The
//! interaction's journal can write no other; `docs/logs.md` is made from this table.

use std::fmt::Write as _;

/// How much an entry matters. `DUCKSOUP_LOG_LEVEL` shows the entries up to its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 0: the server ends.
    Fatal,
    /// 1: something went wrong.
    Error,
    /// 1: something may go wrong; GStreamer's warnings.
    Warn,
    /// 2: the course of things.
    Info,
    /// 3: details of the server, bitrates, what clients say.
    Debug,
    /// 4: every RTCP packet.
    Trace,
}

impl Level {
    /// As entries call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The setting that shows it.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Fatal => 0,
            Self::Error | Self::Warn => 1,
            Self::Info => 2,
            Self::Debug => 3,
            Self::Trace => 4,
        }
    }
}

/// Which log an entry is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The server's.
    Global,
    /// The interaction's own.
    Interaction,
    /// Each tells its part.
    Both,
}

/// What is known of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The entry's `message`.
    pub name: &'static str,
    /// The entry's `context`.
    pub context: &'static str,
    /// The entry's `level`.
    pub level: Level,
    /// Where it is found.
    pub scope: Scope,
    /// What it means.
    pub meaning: &'static str,
    /// Its properties besides those of every entry: name and meaning.
    pub properties: &'static [(&'static str, &'static str)],
}

macro_rules! messages {
    ($($variant:ident $name:literal $context:literal $level:ident $scope:ident $meaning:literal
        { $($property:literal $tells:literal),* })*) => {
        /// A message of a log.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Message {
            $(#[doc = $meaning] $variant,)*
        }

        impl Message {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// What is known of it.
            #[must_use]
            pub fn about(self) -> About {
                match self {
                    $(Self::$variant => About {
                        name: $name,
                        context: $context,
                        level: Level::$level,
                        scope: Scope::$scope,
                        meaning: $meaning,
                        properties: &[$(($property, $tells)),*],
                    },)*
                }
            }
        }
    };
}

messages! {
    WebsocketUpgraded "websocket_upgraded" "peer" Info Global "A page may speak over a WebSocket." {
        "origin" "the page's", "connection" "the server's number for the socket" }
    WebsocketRefused "websocket_refused" "peer" Warn Global "A page's origin is not in the allowed list." {
        "origin" "the page's" }
    WebsocketsExhausted "websockets_exhausted" "peer" Error Global "Too many sockets are open." {
        "origin" "the page's" }
    WebsocketError "websocket_error" "peer" Debug Global "A socket broke, or sent what is no frame." {
        "connection" "the socket", "error" "what happened" }
    WebsocketEnded "websocket_ended" "peer" Info Global "A socket closed that had not joined." {
        "connection" "the socket", "cause" "why" }
    PeerServerStarted "peer_server_started" "peer" Info Both
        "After a join: the global log tells of the WebSocket, the interaction's log of the peer connection." {
        "connection" "the socket" }
    PeerServerEnded "peer_server_ended" "peer" Info Both
        "The WebSocket (global log) or the peer connection (the interaction's log) is over." {
        "connection" "the socket",
        "cause" "why: `stopped`, `websocket_closed`, `lost`, `replaced`, `failed`, `interaction_over` in the interaction's log" }
    PeerServerFailed "peer_server_failed" "peer" Error Interaction "A participant's media could not be set up." {
        "error" "the reason" }
    ServerTrackFailed "server_track_failed" "peer" Error Interaction "Another participant's track could not be added for this one." {
        "error" "the reason" }
    ServerNegotiationFailed "server_negotiation_failed" "peer" Error Interaction "No offer could be made, or an answer could not be set." {
        "error" "the reason" }
    ServerCandidatesMissing "server_candidates_missing" "peer" Error Interaction "The server found no address or port of its own for a participant's media." {
        "error" "the reason" }
    ServerConnectionFailed "server_connection_failed" "peer" Error Interaction "The peer connection failed." {
        "error" "the reason" }
    ClientAnswerRejected "client_answer_rejected" "peer" Error Interaction "The browser rejects what was offered, such as a codec it lacks." {
        "error" "the reason" }
    JoinRefused "join_refused" "peer" Warn Both
        "A join cannot be understood or does not come in time (global log); it asks for an effect that is not allowed (the interaction's log)." {
        "connection" "the socket", "reason" "the reason" }
    ClientMessageIgnored "client_message_ignored" "peer" Debug Global "A client's message has a kind that nobody knows, or comes when it means nothing." {
        "connection" "the socket", "kind" "the message's" }
    JoinsLimited "joins_limited" "peer" Warn Global "Too many join at once: this one is refused." {
        "connection" "the number of its WebSocket" }
    ClientMessageRefused "client_message_refused" "peer" Warn Global "A client's message cannot be understood." {
        "connection" "the socket", "reason" "the reason", "count" "how many so far" }
    ClientControlRefused "client_control_refused" "peer" Warn Global "A control of an effect cannot be understood." {
        "connection" "the socket", "reason" "the reason", "count" "how many so far" }
    ClientNotServed "client_not_served" "peer" Warn Global "A joined client could not be served." {
        "connection" "the socket", "error" "the reason" }
    InteractionEndingSent "interaction_ending_sent" "peer" Info Interaction "The participant is told that the end is near." {}

    InteractionCreated "interaction_created" "interaction" Info Interaction "The first participant joined." {
        "origin" "the page's", "id" "the run's, as in file names" }
    PeerJoined "peer_joined" "interaction" Info Interaction "A participant joined, or came back." {
        "payload" "the options of the join", "count" "how often this user has joined" }
    PeerOptionsDiffer "peer_options_differ" "interaction" Info Interaction "A later join asks for other terms than the first, which hold." {
        "value" "the names of the options" }
    InTrackAdded "in_track_added" "interaction" Info Interaction "The first media of a track have passed the whole chain; when all have, the interaction starts." {
        "type" "`audio` or `video`" }
    InteractionStarted "interaction_started" "interaction" Info Interaction "All participants and tracks are ready: t0." {}
    InteractionEnded "interaction_ended" "interaction" Info Interaction "The duration is over." {}
    InteractionAborted "interaction_aborted" "interaction" Info Interaction "Not everybody came in time." {}
    InteractionInterrupted "interaction_interrupted" "interaction" Info Interaction "The server stopped, or a fault ended the interaction." {}
    InteractionDeleted "interaction_deleted" "interaction" Info Interaction "Everybody is gone and the files are complete; the last entry of a run." {}
    EventsWriteFailed "events_write_failed" "interaction" Error Interaction "The table of events cannot be written." {
        "error" "the reason" }
    ManifestWriteFailed "manifest_write_failed" "interaction" Error Interaction "The manifest cannot be written." {
        "error" "the reason" }

    InTrackReceived "in_track_received" "track" Info Interaction "A browser's track has come." {
        "type" "`audio` or `video`", "track" "its id in the browser", "ssrc" "its number in RTP", "mime" "such as `video/VP8`" }
    InTrackTimeJumped "in_track_time_jumped" "track" Info Interaction "A track's timestamps began anew; what follows is placed by its arrival." {
        "type" "`audio` or `video`", "value" "by how much", "unit" "`ms`",
        "running-time" "from when on, in ns of the pipeline", "onset" "the same, in s since t0" }
    InTrackTimeCorrected "in_track_time_corrected" "track" Info Interaction "A track is found to lie elsewhere on the timeline, by sender reports or the jitter buffer; it has slid there." {
        "type" "`audio` or `video`", "value" "by how much since the last such entry, positive is later", "unit" "`ms`",
        "running-time" "until when, in ns of the pipeline", "onset" "the same, in s since t0" }
    ClientFxControl "client_fx_control" "track" Info Interaction "A client moves a property of an effect." {
        "name" "the effect's", "property" "its property", "value" "where to", "duration" "ms of the ramp",
        "target" "whose effect" }
    ClientFxControlRefused "client_fx_control_refused" "track" Error Interaction "A client asks for a control that is not possible." {
        "name" "the effect's", "property" "its property", "value" "where to", "duration" "ms of the ramp",
        "target" "whose effect", "error" "the reason" }
    FxRestored "fx_restored" "track" Info Interaction "A participant who came back has a property of an effect where the last control had brought it." {
        "name" "the effect's", "property" "its property", "value" "where to", "duration" "0",
        "target" "whose effect" }
    FxAccepted "fxcontrol_accepted" "track" Debug Interaction "A command of an effect is taken." {
        "command" "its number", "name" "the effect's", "property" "its property", "value" "where to",
        "duration" "ns of the ramp", "shape" "the ramp's" }
    FxRefused "fxcontrol_refused" "track" Debug Interaction "A command of an effect is not taken." {
        "command" "its number", "name" "the effect's", "property" "its property", "value" "where to",
        "reason" "the reason" }
    FxStarted "fxcontrol_started" "track" Debug Interaction "A command takes effect." {
        "command" "its number", "name" "the effect's", "property" "its property", "value" "where to",
        "running-time" "when, in ns of the pipeline", "onset" "when, in s since t0",
        "duration" "ns of the ramp", "shape" "the ramp's", "from" "the value before" }
    FxApplied "fxcontrol_applied" "track" Debug Interaction "A value was really set; told for the first, the last, and every 100 ms between." {
        "command" "its number", "name" "the effect's", "property" "its property", "value" "the value",
        "running-time" "when, in ns of the pipeline", "onset" "when, in s since t0" }
    FxFinished "fxcontrol_finished" "track" Debug Interaction "A command has reached its value, or another took over." {
        "command" "its number", "name" "the effect's", "property" "its property", "value" "the value",
        "running-time" "when, in ns of the pipeline", "onset" "when, in s since t0",
        "complete" "whether the value was reached" }
    FxBypass "fxcontrol_bypass" "track" Debug Interaction "From here on the effect is a sham, or real again." {
        "bypass" "whether it is a sham", "running-time" "when, in ns of the pipeline",
        "onset" "when, in s since t0" }
    AudioInBitrate "audio_in_bitrate" "track" Debug Interaction "Payload that came from the browser, each second." {
        "value" "the rate", "unit" "`bit/s`" }
    VideoInBitrate "video_in_bitrate" "track" Debug Interaction "The same of video." {
        "value" "the rate", "unit" "`bit/s`" }
    AudioOutBitrate "audio_out_bitrate" "track" Debug Interaction "RTP that came out of the participant's chain and goes to the others, each second." {
        "value" "the rate", "unit" "`bit/s`" }
    VideoOutBitrate "video_out_bitrate" "track" Debug Interaction "The same of video." {
        "value" "the rate", "unit" "`bit/s`" }
    AudioTarget "audio_target_bitrate_updated" "track" Debug Interaction "The encoder of the participant's chain has a new target." {
        "value" "the rate", "previous" "the rate before, 0 at the beginning", "unit" "`bit/s`" }
    VideoTarget "video_target_bitrate_updated" "track" Debug Interaction "The same of video." {
        "value" "the rate", "previous" "the rate before", "unit" "`bit/s`" }
    AudioInReport "audio_in_report" "track" Debug Interaction "Packets that the browser sent in the last second." {
        "count" "all of them", "lost" "those that did not come, or too late" }
    VideoInReport "video_in_report" "track" Debug Interaction "The same of video." {
        "count" "all of them", "lost" "those that did not come, or too late" }
    EstimateUpdated "estimate_updated" "track" Debug Interaction "What a participant's connection can take of all that is sent to them has changed; the encoders of those whom they receive go by it." {
        "value" "the rate", "unit" "`bit/s`" }
    PicturePaused "picture_paused" "track" Info Interaction "A participant's connection has no room for another's picture beside the sound: it is not sent to them from here on." {
        "source" "whose picture", "running-time" "when, in ns of the pipeline", "onset" "when, in s since t0" }
    PictureResumed "picture_resumed" "track" Info Interaction "The picture is sent to the participant again, from the next keyframe on." {
        "source" "whose picture", "running-time" "when, in ns of the pipeline", "onset" "when, in s since t0" }
    PlayoutDelay "playout_delay_updated" "track" Info Interaction "A browser that loses pictures' packets on a long way may keep pictures back from here on, so that they go on evenly; or shows them as soon as they can be shown, again." {
        "value" "`browser`: as long as it holds for right; `at once`" }
    LossThresholdExceeded "loss_threshold_exceeded" "track" Debug Interaction "A browser reports that it lost more than a twentieth of a track's packets." {
        "value" "packets newly lost", "fraction" "the part lost since its report before, 0 to 1",
        "source" "whose track", "type" "`audio` or `video`" }
    OutTrackStopped "out_track_stopped" "track" Info Interaction "A participant's processed track goes no more to the others." {
        "track" "the id under which the others had it", "kind" "`audio` or `video`" }
    DuplicateTrackSkipped "duplicate_track_skipped" "signaling" Debug Interaction "A participant who came back is still shown through the same track: nothing to negotiate." {
        "source" "whose track" }
    PliSent "pli_sent" "track" Debug Interaction "The browser is asked for a keyframe, by a picture loss indication or a full intra request." {
        "cause" "`interaction_started`, `pipeline` (a depayloader or decoder lacks one), `receiver` (where nothing is re-encoded: a receiver, or the recorder) or `unknown`",
        "type" "`PLI` or `FIR`" }
    PliSkipped "pli_skipped" "track" Debug Interaction "Keyframes were wanted and not asked for, since one was already." {
        "cause" "`throttled`: by receivers, and one for all was asked for; `coalesced`: by several parts of the server at once",
        "value" "how many" }
    RtcpReceived "rtcp_received" "track" Trace Interaction "An RTCP packet came from the browser." {
        "packets" "its parts" }
    RtcpSent "rtcp_sent" "track" Trace Interaction "An RTCP packet went to the browser." {
        "packets" "its parts" }

    PipelineCreated "pipeline_created" "pipeline" Info Interaction "The participant's chains are there." {}
    PipelineStarted "pipeline_started" "pipeline" Info Interaction "The participant is in the running interaction; what is recorded is recorded from here." {
        "recording_prefix" "how its files begin" }
    PipelineStopped "pipeline_stopped" "pipeline" Info Interaction "Nothing flows through the participant's chains any more." {}
    PipelineDeleted "pipeline_deleted" "pipeline" Info Interaction "The participant's chains are gone." {}
    PliRequested "gstreamer_pli_requested" "pipeline" Debug Interaction "A participant's chain wants a keyframe from the browser." {
        "cause" "`pipeline` or `receiver`, as of `pli_sent`" }
    PipelineError "gstreamer_pipeline_error" "pipeline" Error Interaction "An element failed; its participant's part ends, or with the mixer the interaction." {
        "error" "what it says", "element" "its name", "debug" "where" }
    RecordingFailed "recording_failed" "pipeline" Error Interaction "A file cannot be made or goes no further; the conversation goes on." {
        "code" "`prefix`, `folder`, `create`, `write`, `kind` or `internal`", "path" "the file, below the data folder",
        "error" "a sentence" }
    RecordingOverflow "recording_overflow" "pipeline" Error Interaction "The disk does not keep up: media are left out of a file from here on." {
        "pad" "the recorder's", "running-time" "when, in ns of the pipeline", "onset" "when, in s since t0" }
    FileOpened "file_opened" "pipeline" Debug Interaction "A recording begins." {
        "file" "its path below the data folder", "running-time" "of its first media, in ns of the pipeline",
        "onset" "the same, in s since t0" }
    PictureSize "picture_size" "pipeline" Debug Interaction "Recorded pictures have another size from here on, or a first one." {
        "pad" "the recorder's", "width" "in pixels", "height" "in pixels",
        "running-time" "when, in ns of the pipeline", "onset" "when, in s since t0" }
    FileFinished "file_finished" "pipeline" Info Interaction "A recording is complete." {
        "file" "its path below the data folder" }

    GpuUnavailable "gpu_unavailable" "pipeline" Error Interaction "A participant asks for `gpu`, and the CPU does the work; once a run for each reason." {
        "error" "the reason" }
    OverlayUnavailable "overlay_unavailable" "pipeline" Error Interaction "The time cannot be shown in the picture; once a run." {
        "error" "the reason" }
    PlotsWritten "plots_written" "pipeline" Info Interaction "The plots are drawn (DUCKSOUP_GENERATE_PLOTS)." {
        "files" "their paths below the data folder" }
    PlotsFailed "plots_failed" "pipeline" Error Interaction "A plot cannot be drawn or written." {
        "error" "the reason" }

    ServerSignalingState "server_signaling_state_changed" "signaling" Debug Interaction "The server's side of the negotiation." {
        "value" "`stable`, `have-local-offer`, …, as in WebRTC" }
    ServerConnectionState "server_connection_state_changed" "signaling" Debug Interaction "The server's side of the connection." {
        "value" "`connecting`, `connected`, …, as in WebRTC" }
    ServerCandidatePair "server_selected_candidate_pair" "signaling" Debug Interaction "The way that media take." {
        "value" "the server's end / the browser's end" }
    ServerCreateOffer "server_create_offer_requested" "signaling" Debug Interaction "A new offer is due." {
        "cause" "`peer_joined`, `tracks_shown`, `tracks_hidden`, or the client's message" }
    ClientSignalingRefused "client_signaling_refused" "signaling" Error Interaction "A client's answer or candidate makes no sense." {
        "error" "the reason" }

    ClientMessage "client_message" "track" Debug Interaction "Free text of the client library." {
        "source" "`client`", "value" "the text" }
    ClientVideoResolution "client_video_resolution_updated" "track" Debug Interaction "What the browser's encoder makes now." {
        "source" "`client`", "value" "such as `640x480`" }
    ClientVideoFps "client_video_fps_updated" "track" Debug Interaction "Frames a second out of the browser's encoder." {
        "source" "`client`", "value" "the rate" }
    ClientKeyframesEncoded "client_keyframe_encoded_count_updated" "track" Debug Interaction "Keyframes the browser has encoded." {
        "source" "`client`", "value" "so far" }
    ClientKeyframesDecoded "client_keyframe_decoded_count_updated" "track" Debug Interaction "Keyframes the browser has decoded." {
        "source" "`client`", "value" "so far" }
    ClientPlis "client_pli_received_count_updated" "track" Debug Interaction "Picture loss indications that reached the browser." {
        "source" "`client`", "value" "so far" }
    ClientFirs "client_fir_received_count_updated" "track" Debug Interaction "Full intra requests that reached the browser." {
        "source" "`client`", "value" "so far" }
    ClientCandidatePair "client_selected_candidate_pair" "signaling" Debug Interaction "The way that media take, from the browser's side." {
        "source" "`client`", "payload" "the browser's end / the server's end" }
    ClientConnectionState "client_connection_state_changed" "signaling" Debug Interaction "The browser's side of the connection." {
        "source" "`client`", "payload" "the state" }
    ClientSignalingState "client_signaling_state_changed" "signaling" Debug Interaction "The browser's side of the negotiation." {
        "source" "`client`", "payload" "the state" }
    ClientGatheringState "client_ice_gathering_state_changed" "signaling" Debug Interaction "How far the browser is with its candidates." {
        "source" "`client`", "payload" "the state" }
    ClientCandidateFailed "client_ice_candidate_failed" "signaling" Debug Interaction "The browser could not use or get a candidate." {
        "source" "`client`", "payload" "the reason" }

    GstreamerWarning "gstreamer_warning" "gstreamer" Warn Interaction "An element warns." {
        "error" "what it says", "element" "its name" }
    GstreamerDropped "gstreamer_entries_dropped" "gstreamer" Warn Interaction "GStreamer's log came faster than it could be written." {
        "value" "entries left out since the last such message" }

    NotFound "not_found" "server" Info Global "A page is not there." {
        "path" "what was asked for" }
    RequestRefused "request_refused" "server" Info Global "An HTTP request makes no sense." {
        "reason" "the reason" }
    AcceptFailed "accept_failed" "server" Error Global "No connection could be taken, such as for want of file descriptors." {
        "error" "the reason" }
    ConnectionFailed "connection_failed" "server" Debug Global "A connection ended before its time: a TLS handshake that failed, a request that is too slow or no HTTP." {
        "error" "the reason" }
    TurnStarted "turn_started" "server" Info Global "The embedded TURN server listens." {
        "address" "as participants are told", "port" "UDP and TCP", "public_ip" "where it relays from",
        "allocations" "how many there may be at once" }
    TurnRefused "turn_refused" "server" Debug Global "TURN turned a request down: wrong or expired credentials, a peer that is none of this server's, no room." {
        "code" "of RFC 8656", "transport" "`udp` or `tcp`", "unlogged" "how many more since the last such entry" }
    TurnAllocated "turn_allocated" "server" Debug Global "Somebody is relayed." {
        "client" "their address", "username" "an expiry and the number of the connection", "transport" "`udp` or `tcp`",
        "unlogged" "how many more since the last such entry" }
    TurnReleased "turn_released" "server" Debug Global "Somebody is no longer relayed." {
        "client" "their address", "to_peers" "bytes", "to_client" "bytes",
        "unlogged" "how many more since the last such entry" }
    CheckRefused "check_refused" "server" Warn Global "What a device check came to could not be stored." {
        "error" "the reason" }
    FileUnreadable "file_unreadable" "server" Warn Global "A file of a page cannot be read." {
        "path" "its path below `web`", "error" "the reason" }
    VariableUnknown "variable_unknown" "init" Warn Global "A `DUCKSOUP_…` variable of the environment is no setting." {
        "variable" "its name" }
    ElementsUnchecked "elements_unchecked" "init" Warn Global "`config/gst.yml` could not be tried on the elements." {
        "error" "why" }
    ProtectedPagesClosed "protected_pages_closed" "init" Warn Global "The password is the documented one: the protected pages answer 403." {
        "variable" "the setting to change" }

    AppStarted "app_started" "app" Info Global "The server listens." {
        "address" "where", "version" "the server's" }
    AppEnded "app_ended" "app" Info Global "The server is about to exit." {}
    AppPanicked "app_panicked" "app" Fatal Global "A fault in the server itself." {
        "error" "what and where" }
    StageStarted "stage_started" "app" Debug Global "A process for an interaction runs; it may wait for one." {
        "stage" "the server's number for it", "pid" "the process" }
    StageOpened "stage_opened" "app" Info Global "A process is given its interaction." {
        "stage" "its number", "id" "the run's", "origin" "the page's", "namespace" "the study",
        "interaction" "the interaction's name" }
    StageNotStarted "stage_not_started" "app" Error Global "No process can be started." {
        "stage" "its number", "error" "the reason" }
    StageKilled "stage_killed" "app" Error Global "A process did not do its duty." {
        "stage" "its number", "cause" "why" }
    StageEnded "stage_ended" "app" Info Global "A process is over." {
        "stage" "its number", "cause" "how it was noticed", "status" "the process's" }
    StageCrashed "stage_crashed" "app" Error Global "A process ended by a fault; only its own participants are touched." {
        "stage" "its number", "cause" "how it was noticed", "status" "the process's" }
    SpareStageEnded "spare_stage_ended" "app" Error Global "The process that waited for an interaction is gone; another one follows." {
        "stage" "its number" }
    StageFrameRefused "stage_frame_refused" "app" Error Global "A process said what is no frame." {
        "stage" "its number", "error" "the reason" }
    DoorFrameUnwritable "door_frame_unwritable" "app" Error Global "The server could not word a frame." {
        "error" "the reason" }
    RunRecovered "run_recovered" "app" Info Global "What a run whose process died, or whose disk was full, could not say any more is in its manifest now." {
        "path" "the manifest's, below the data folder", "files" "how many recordings were read for that",
        "cut" "bytes of torn pieces that were cut off their ends" }
    RecordingUnreadable "recording_unreadable" "app" Error Global "A recording of such a run cannot be read to its end." {
        "path" "the manifest's, below the data folder", "file" "the recording's name", "error" "the reason" }
    RunNotRecovered "run_not_recovered" "app" Error Global "Such a run could not be completed; the next start tries again." {
        "path" "the manifest's, below the data folder", "error" "the reason" }
    RecoveryFailed "recovery_failed" "app" Error Global "The process that completes runs cannot be started, or was killed." {
        "error" "the reason" }
    LogEntriesDropped "log_entries_dropped" "app" Warn Global "The log could not be written as fast as it came." {
        "value" "entries left out" }
}

impl Message {
    /// The message of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|message| message.about().name == name)
    }
}

const HEAD: &str = "# The logs

Written by `UPDATE_DOCS=1 cargo test -p ducksoup-app --lib log::messages` from the table in
`ducksoup-app/src/log/messages.rs`, which is the only list of messages that the server can write. Change it there.

There are two kinds of logs, both of JSON objects, one a line:

- **The global log** tells of the server: its start, its WebSockets, its processes. `DUCKSOUP_LOG_FILE` names its file. With
  `DUCKSOUP_LOG_STDOUT=true` or `DUCKSOUP_MODE=DEV` it is printed in a readable form on standard output too (in colour on a
  terminal; the variable `NO_COLOR` prevents it). With neither, it goes to standard error.
- **The log of an interaction** is `data/<namespace>/<interaction>/<interaction>.log`, appended to by each run of that name. It is
  printed on standard output too where the global log is.

## Levels

`DUCKSOUP_LOG_LEVEL` (3 by default) shows the entries up to its number.

| setting | `level` | holds |
|---|---|---|
| 0 | `fatal` | what ends the server |
| 1 | `error`, `warn` | errors, and GStreamer's warnings |
| 2 | `info` | the course of things |
| 3 | `debug` | details of the server, bitrates, what clients say |
| 4 | `trace` | RTCP packets in and out, reports of transport-wide congestion control included |

## Properties of every entry

| property | holds |
|---|---|
| `level` | see above |
| `time` | UTC, `20060102-150405.000` |
| `context` | one of the headings below |
| `message` | what happened |
| `namespace`, `interaction` | in the log of an interaction, and wherever one is concerned |
| `user` | whose, where it is one participant's |
| `sinceCreation` | ms since the interaction was created (its log only) |
| `sinceStart` | ms since t0 (its log only, from `interaction_started` on, which is told 0.1 s before: so it begins below 0) |
| `source` | `client` when the client said it; messages that begin with `client_` are about the client |
| `caller` | `file:line` in the server's code (global log, `DUCKSOUP_MODE=DEV`) |

## Messages

*In* says where: the global log (`g`), the interaction's (`i`).
";

const TAIL: &str = "
## Free messages

| context | message | level | holds |
|---|---|---|---|
| `ext` | `ext_<anything>` | debug (3) | what the embedding page says with `serverLog`: `source` is `client`, `payload` the text |
| `signaling` | `client_ice_connection_state_<state>` | debug (3) | `source` is `client` |
| `track` | `client_<anything>` | debug (3) | any other report of a client: `source` is `client`, `value` the text |
| `gstreamer` | GStreamer's words | by theirs | with `DUCKSOUP_INTERCEPT_GST_LOGS=true`: `category`, `element` (its path below the pipeline, or what is known of the object), and `user` where it is one participant's. GStreamer's ERROR is `error`, WARNING `warn`, FIXME and INFO `info`, DEBUG `debug`, LOG and below `trace`. What there is to intercept is decided by `GST_DEBUG`; high levels hold addresses and session descriptions of participants |
| any | the words of a library | `error`, `warn` | global log only: faults that libraries tell of |
";

/// The page of the documentation.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut contexts: Vec<&str> = Vec::new();
    for message in Message::ALL {
        let context = message.about().context;
        if !contexts.contains(&context) {
            contexts.push(context);
        }
    }
    for context in contexts {
        // Writing into a String cannot fail.
        let _ = write!(
            page,
            "\n### `{context}`\n\n| message | level | in | meaning | properties |\n|---|---|---|---|---|\n"
        );
        for about in Message::ALL.iter().map(|message| message.about()) {
            if about.context == context {
                let _ = writeln!(page, "{}", row(&about));
            }
        }
    }
    page + TAIL
}

fn row(about: &About) -> String {
    let scope = match about.scope {
        Scope::Global => "g",
        Scope::Interaction => "i",
        Scope::Both => "g, i",
    };
    let properties: Vec<_> =
        about.properties.iter().map(|(name, tells)| format!("`{name}`: {tells}")).collect();
    let properties = if properties.is_empty() { "–".to_owned() } else { properties.join("; ") };
    let About { name, level, meaning, .. } = about;
    format!(
        "| `{name}` | {} ({}) | {scope} | {meaning} | {properties} |",
        level.name(),
        level.number()
    )
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
