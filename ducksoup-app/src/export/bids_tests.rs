// SPDX-License-Identifier: MPL-2.0

use super::*;

#[test]
fn users_become_labels_that_nobody_else_has() {
    let none = Table::new(&["participant_id"]);
    let labels = |users: &[&str], participants: &Table| {
        let found = subjects(users.iter().copied(), participants);
        users.iter().map(|user| found[*user].clone()).collect::<Vec<_>>()
    };
    assert_eq!(labels(&["p-1", "p_1", "P1", "--"], &none), ["p1", "p1x2", "P1x3", "x"]);
    let there = Table::parse("participant_id\tducksoup_user\nsub-p1\tp_1\nsub-ann\tn/a\n");
    let there = there.expect("a table");
    assert_eq!(labels(&["p-1", "p_1", "ann"], &there), ["p1x2", "p1", "annx2"]);
    let foreign = Table::parse("participant_id\tage\nsub-p1\t30\n").expect("a table");
    assert_eq!(labels(&["p1"], &foreign), ["p1x2"]);
}

#[test]
fn names_are_those_of_the_proposal() {
    let names =
        Names { subject: "p1".into(), session: label("day_2"), task: label("dyad-7"), run: 2 };
    assert_eq!(
        names.recording(Side::Wet, "audiovideo"),
        "sub-p1/ses-day2/beh/sub-p1_ses-day2_task-dyad7_run-2_recording-wet_audiovideo"
    );
    assert_eq!(names.events(), "sub-p1/ses-day2/beh/sub-p1_ses-day2_task-dyad7_run-2_events");
    assert_eq!(names.scans(), "sub-p1/ses-day2/sub-p1_ses-day2_scans.tsv");
    assert_eq!(below_session(&names.recording(Side::Dry, "audio"))[..4], *"beh/");
}

#[test]
fn events_are_moved_sorted_and_renamed() {
    let table = Table::parse(
        "type\tonset\tduration\tparticipant\tvalue\tsource\n\
         fx_started\t2.500000\t0.5\tb-ob\t0.8\tann\n\
         joined\t-1.250000\tn/a\tann\t1\tn/a\n\
         ended\tn/a\tn/a\tn/a\tn/a\tz\n",
    );
    let people = [("b-ob", "bob"), ("ann", "ann")].map(|(user, label)| (user.into(), label.into()));
    let events = events(&table.expect("a table"), 0.5, &people.into()).expect("events");
    assert_eq!(
        events.text(),
        "onset\tduration\ttrial_type\tparticipant\tvalue\tsource\n\
         n/a\tn/a\tended\tn/a\tn/a\tz\n\
         -1.750000\tn/a\tjoined\tsub-ann\t1\tn/a\n\
         2.000000\t0.5\tfx_started\tsub-bob\t0.8\tsub-ann\n"
    );
    let dictionary = json!({"type": {"Description": "what", "Levels": {"joined": "came"}}});
    for dictionary in [Value::Null, dictionary] {
        let sidecar = events_sidecar(&events, "Dyad 7", &dictionary);
        for column in &events.header {
            assert!(sidecar[column]["Description"].is_string(), "{column}");
        }
        assert_eq!(
            (&sidecar["TaskName"], &sidecar["onset"]["Units"]),
            (&json!("Dyad 7"), &json!("s"))
        );
        assert_eq!(sidecar["trial_type"].get("Levels").is_some(), dictionary.is_object());
    }
}

#[test]
fn what_is_no_table_of_events_is_none() {
    let table = Table::parse("time\tvalue\n1\t2\n").expect("a table");
    assert_eq!(events(&table, 0.0, &BTreeMap::new()), None);
}
