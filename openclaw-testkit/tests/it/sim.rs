//! The simulator: a seed is a run, its words play it again, and what is left out is left out.

use std::collections::BTreeSet;

use openclaw_testkit::sim::{Cut, Faults, Marks, Report, Sim, Workload};

/// As many as hit every mark.
const CAMPAIGN: u64 = 150;

/// Seeds that are played behind stacks.
const STACKED: u64 = 60;

/// Plays a run again from its words alone.
fn again(report: &Report) -> Report {
    Sim::parse(&report.repro()).unwrap().run()
}

/// The panics of a run are part of it: nobody wants to read them.
#[expect(clippy::print_stderr, reason = "other panics are still told")]
fn quiet() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        if !text.contains("as the run says") && !text.contains("as it was asked") {
            eprintln!("{text}");
        }
    }));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (one, two) = (Sim::new(11).run(), Sim::new(11).run());
    assert!(one.is_ok(), "{one}");
    assert_eq!(one.trace_hash, two.trace_hash);
    assert_ne!(one.trace_hash, Sim::new(12).run().trace_hash);
}

#[test]
fn the_words_of_a_report_play_its_run_again() {
    let few = Faults::all().without(Faults::all().iter().next().unwrap());
    let sims = [
        Sim::new(7),
        Sim::new(7).cut(Cut::none().messages([1, 2, 3, 7, 9, 10])),
        Sim::new(7).cut(Cut::none().lives(1)),
        Sim::new(7).faults(few),
        Sim::new(7).faults(Faults::none()).cut(Cut::none().messages(0..9).lives(2)),
        Sim::new(7).stacks(),
    ];
    let mut hashes = BTreeSet::new();
    for sim in &sims {
        let report = sim.run();
        assert_eq!(again(&report).trace_hash, report.trace_hash, "{}", report.repro());
        hashes.insert(report.trace_hash.to_string());
    }
    assert_eq!(hashes.len(), sims.len(), "what is left out makes a difference");
}

#[test]
fn a_word_that_can_not_be_read_is_named() {
    let cases = [
        ("--seed", "--seed"),
        ("--seed many", "many"),
        ("--seed 1 --only x-3", "x-3"),
        ("--seed 1 --lives few", "few"),
        ("--seed 1 --faults gremlins", "gremlins"),
        ("--seed 1 --stacks high", "high"),
        ("--speed 1", "--speed"),
    ];
    for (words, bad) in cases {
        let refused = Sim::parse(words).unwrap_err();
        assert!(refused.contains(bad), "{words}: {refused}");
    }
}

#[test]
fn a_cut_leaves_messages_out() {
    let all = Sim::new(5).run();
    let cut = Sim::new(5).cut(Cut::none().messages([0, 4, 8])).run();
    assert!(cut.is_ok(), "{cut}");
    assert_eq!((all.messages, cut.messages), (110, 3));
}

#[test]
fn without_faults_nobody_dies_and_all_is_well() {
    for seed in 0..5 {
        let report = Sim::new(seed).faults(Faults::none()).run();
        assert!(report.is_ok(), "{report}");
        assert_eq!(report.crashes, 0, "{report}");
    }
}

#[test]
fn the_swarm_differs_by_seed() {
    let swarms: BTreeSet<String> = (0..20).map(|n| format!("{:?}", Faults::swarm(n))).collect();
    assert!(swarms.len() > 15, "{swarms:?}");
    assert_eq!(Faults::swarm(3), Faults::swarm(3));
}

#[test]
fn a_story_is_told_when_it_is_asked_for_and_changes_nothing() {
    let sim = Sim::new(2).workload(Workload::mix().messages(10));
    let (silent, told) = (sim.clone().run(), sim.telling().run());
    assert!(silent.story.is_empty());
    assert!(told.story.len() > 10, "{:?}", told.story);
    assert_eq!(silent.trace_hash, told.trace_hash);
}

#[test]
fn a_campaign_meets_every_situation() {
    quiet();
    let marks = Marks::default();
    for seed in 0..CAMPAIGN {
        let report = Sim::new(seed).run();
        assert!(report.is_ok(), "{report}");
        marks.add(&report.marks);
    }
    let missed: Vec<_> = Marks::expected().into_iter().filter(|m| marks.count(m) == 0).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

/// Behind limits, permits, breakers and retries the same rules hold.
#[test]
fn a_campaign_behind_stacks_breaks_no_rule() {
    quiet();
    for seed in 0..STACKED {
        let report = Sim::new(seed).stacks().run();
        assert!(report.is_ok(), "{report}");
    }
    let report = Sim::new(0).stacks().run();
    assert_eq!(again(&report).trace_hash, report.trace_hash, "{}", report.repro());
    assert_ne!(Sim::new(0).run().trace_hash, report.trace_hash, "the stacks are met");
}

#[cfg(openclaw_planted)]
mod planted {
    use openclaw_core::planted::{Bug, plant};

    use super::{Report, Sim};

    fn run(bug: Bug, sim: &Sim, shrink: bool) -> Report {
        // Bugs are planted for the thread, and a run is one thread.
        plant(Some(bug));
        let report = if shrink { sim.run_and_shrink() } else { sim.run() };
        plant(None);
        report
    }

    #[test]
    fn every_planted_bug_is_seen() {
        let missed: Vec<_> = Bug::ALL
            .iter()
            // The example `sim` plays those, over the registry of openclaw-skills.
            .filter(|bug| !bug.needs_versions())
            .filter(|bug| (0..200).all(|seed| run(**bug, &Sim::new(seed), false).is_ok()))
            .map(|bug| bug.name())
            .collect();
        assert!(missed.is_empty(), "not seen: {missed:?}");
    }

    #[test]
    fn a_failing_run_is_made_smaller_and_still_fails() {
        let bug = Bug::NoDedupe;
        let fails = |seed: &u64| !run(bug, &Sim::new(*seed), false).is_ok();
        let seed = (0..200).find(fails).unwrap();
        let (whole, small) = (run(bug, &Sim::new(seed), false), run(bug, &Sim::new(seed), true));
        assert!(!small.is_ok() && small.messages < whole.messages, "{small}");
        let words = small.repro();
        assert!(!run(bug, &Sim::parse(&words).unwrap(), false).is_ok(), "{words}");
    }
}
