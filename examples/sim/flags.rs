//! The command line.

use openclaw_testkit::sim::Sim;

/// What the program is for.
const USAGE: &str = "usage: sim --seeds N [--from S] [--stacks] | --seed S [--only 1-3,7] [--lives N] \
                     [--faults a,b|none] [--stacks on] | --twice N [--stacks] | --planted [--seeds N]";

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Play so many seeds.
    Seeds { seeds: u64, from: u64, stacks: bool },
    /// Play one run again.
    Again(Box<Sim>),
    /// Play so many seeds twice.
    Twice { seeds: u64, stacks: bool },
    /// Look for every planted bug, with at most so many seeds each.
    Planted(u64),
}

/// Reads the arguments behind the program's name; the error is one line for people.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Job, String> {
    let arguments: Vec<String> = arguments.into_iter().collect();
    if arguments.iter().any(|word| word == "--seed") {
        let words = arguments.join(" ");
        return Ok(Job::Again(Box::new(Sim::parse(&words).map_err(|e| format!("{e}; {USAGE}"))?)));
    }
    let (mut seeds, mut from, mut twice) = (None, None, None);
    let (mut planted, mut stacks) = (false, false);
    let mut words = arguments.iter();
    while let Some(flag) = words.next() {
        let slot = match flag.as_str() {
            "--planted" if !planted => {
                planted = true;
                continue;
            }
            "--stacks" if !stacks => {
                stacks = true;
                continue;
            }
            "--seeds" => &mut seeds,
            "--from" => &mut from,
            "--twice" => &mut twice,
            _ => return Err(format!("there is no flag {flag} here; {USAGE}")),
        };
        let value = words.next().ok_or_else(|| format!("{flag} needs a number; {USAGE}"))?;
        let number: u64 =
            value.parse().map_err(|_no_number| format!("{flag} can't be {value:?}; {USAGE}"))?;
        if slot.replace(number).is_some() {
            return Err(format!("{flag} is there twice; {USAGE}"));
        }
    }
    match (seeds, from, twice, planted) {
        (Some(0), ..) | (_, _, Some(0), _) => Err(format!("0 seeds prove nothing; {USAGE}")),
        (seeds, None, None, true) if !stacks => Ok(Job::Planted(seeds.unwrap_or(200))),
        (None, None, Some(seeds), false) => Ok(Job::Twice { seeds, stacks }),
        (Some(seeds), from, None, false) => {
            let from = from.unwrap_or(0);
            from.checked_add(seeds).ok_or_else(|| format!("--from is too large; {USAGE}"))?;
            Ok(Job::Seeds { seeds, from, stacks })
        }
        _ => Err(USAGE.to_owned()),
    }
}
