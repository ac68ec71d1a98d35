//! A process with all that came of it, as `/proc` shows them.

use std::fs;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The processes of a server: its group and its descendants.
///
/// Postgres gives each of its children a group of its own, so the group alone is not enough.
/// Without a `/proc` it is the group alone.
#[derive(Debug)]
pub(super) struct Tree {
    leader: Pid,
    members: Vec<Seen>,
}

/// A process as it was seen; its start tells it from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    pid: i32,
    parent: i32,
    group: i32,
    start: u64,
}

impl Tree {
    /// What belongs to this leader now. The leader must not have been waited for.
    pub(super) fn of(leader: Pid) -> Self {
        let mut tree = Self { leader, members: Vec::new() };
        tree.grow();
        tree
    }

    /// Stops all of it, so that nothing new can come.
    pub(super) fn freeze(leader: Pid) -> Self {
        let mut tree = Self::of(leader);
        tree.signal(Signal::STOP);
        while tree.grow() {
            tree.signal(Signal::STOP);
        }
        tree
    }

    /// Sends a signal to every member. One that is gone by now is no error.
    pub(super) fn signal(&self, signal: Signal) {
        let _gone = kill_process_group(self.leader, signal);
        for pid in self.members.iter().filter_map(|seen| Pid::from_raw(seen.pid)) {
            let _gone = kill_process(pid, signal);
        }
    }

    /// The members that live, the leader apart.
    pub(super) fn survivors(&self) -> Self {
        let now = all();
        let leader = self.leader.as_raw_nonzero().get();
        let lives = |seen: &&Seen| {
            let same = |other: &Seen| other.pid == seen.pid && other.start == seen.start;
            seen.pid != leader && now.iter().any(same)
        };
        let members = self.members.iter().filter(lives).copied().collect();
        Self { leader: self.leader, members }
    }

    /// Sends a signal to the members only, not to the group.
    pub(super) fn signal_members(&self, signal: Signal) {
        for pid in self.members.iter().filter_map(|seen| Pid::from_raw(seen.pid)) {
            let _gone = kill_process(pid, signal);
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds what has come since; false when nothing has.
    fn grow(&mut self) -> bool {
        let (leader, before) = (self.leader.as_raw_nonzero().get(), self.members.len());
        let now = all();
        let mut rest = now.as_slice();
        while let Some((seen, later)) = rest.split_first() {
            rest = later;
            let kin = |member: &Seen| member.pid == seen.parent;
            let ours = seen.pid == leader || seen.parent == leader || seen.group == leader;
            let known = self.members.contains(seen);
            if !known && (ours || self.members.iter().any(kin)) {
                self.members.push(*seen);
                rest = now.as_slice();
            }
        }
        self.members.len() > before
    }
}

/// All processes of the machine that are not dead.
fn all() -> Vec<Seen> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbered
        .filter_map(|pid| seen(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// One line of `/proc/N/stat`; `None` for the dead.
fn seen(stat: &str) -> Option<Seen> {
    let (pid, _) = stat.split_once(' ')?;
    // The name stands in parentheses and may hold anything, so look for the last one.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let start = fields.nth(16)?.parse().ok()?;
    Some(Seen { pid: pid.parse().ok()?, parent, group, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_name() {
        let line = "42 (a) b (c) S 7 9 9 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 1234 100 5";
        assert_eq!(seen(line), Some(Seen { pid: 42, parent: 7, group: 9, start: 1234 }));
        assert_eq!(seen(&line.replace(") S", ") Z")), None, "the dead don't count");
        assert_eq!(seen("42 (cut"), None);
    }
}
