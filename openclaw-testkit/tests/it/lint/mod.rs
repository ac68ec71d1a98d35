//! Lints: every rule fires where it must, and is silent where all is well.

mod order;
mod setup;
mod types;

use openclaw_testkit::lint::Finding;

fn ids(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.rule).collect()
}

/// Every rule there is has a case, and no case is of a rule that is gone.
fn covers(rules: Vec<&'static str>, cases: impl Iterator<Item = &'static str>) {
    let (mut rules, mut cases): (Vec<&str>, Vec<&str>) = (rules, cases.collect());
    rules.sort_unstable();
    cases.sort_unstable();
    cases.dedup();
    assert_eq!(rules, cases);
}
