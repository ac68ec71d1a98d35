//! The table for people.

use std::fmt;

use crate::{
    verdict::Verdict,
    wire::{Point, Remote},
};

/// How many problems are printed in full.
const SHOWN: usize = 20;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let platform = &self.run.platform;
        let sent: u32 = self.chats().map(|chat| chat.sent).sum();
        let shown: usize = self.chats().map(|chat| chat.shown.len()).sum();
        let replies = self.evidence.parked.iter().filter(|letter| letter.is_reply).count();
        let mut row = |name: &str, value: &dyn fmt::Display| writeln!(f, "  {name:<34}{value:>8}");
        row("messages sent", &sent)?;
        row("deliveries refused for a while", &platform.refusals)?;
        row("acknowledged", &platform.acknowledged.len())?;
        row("replies shown", &shown)?;
        row("parked turns", &(self.evidence.parked.len() - replies))?;
        row("parked replies", &replies)?;
        for remote in Remote::ALL {
            let of = platform.books.all().filter(|(at, ..)| *at == remote);
            let effects: usize = of.map(|(_, _, effects)| effects).sum();
            row(&format!("effects at the {} remote", remote.id()), &effects)?;
        }
        row("effects in the ledger", &self.evidence.effects.len())?;
        row("entries in the audit trail", &self.evidence.trail.len())?;
        let [not_applied, applied] = platform.unknown_commits;
        row("answers lost of applied commits", &applied)?;
        row("  and of commits not applied", &not_applied)?;
        row("engine", &self.run.engine)?;
        row("kills", &self.run.kills)?;
        for point in Point::ALL {
            let times = self.run.points.get(&point).copied().unwrap_or_default();
            row(&format!("  at {point:?}, {}", meaning(point)), &times)?;
        }
        let aimed: usize = self.run.points.values().sum();
        row("  at a random moment", &(self.run.kills - aimed))?;
        row("kills with something on its way", &self.run.in_dispatching)?;
        row("replicas", &self.run.replicas)?;
        row("pauses past the lease", &self.run.pauses)?;
        row("kills of the server", &self.run.server_kills)?;
        row("acknowledged and lost", &self.lost)?;
        row("effects and replies too many", &self.duplicated)?;
        row("out of order", &self.order_violations)?;
        row("unknown, and in sight", &self.unknown_visible)?;
        for problem in self.problems.iter().take(SHOWN) {
            writeln!(f, "  ! {problem}")?;
        }
        if let Some(more) = self.problems.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            writeln!(f, "  ! and {more} more")?;
        }
        Ok(())
    }
}

const fn meaning(point: Point) -> &'static str {
    match point {
        Point::C0 => "before the admission",
        Point::C1 => "claimed",
        Point::C2 => "marked, not called",
        Point::C3 => "done, not recorded",
        Point::C4 => "recorded, not told",
        Point::C5 => "turn done, not sent",
        Point::C6 => "taken over while it stood still",
        Point::C7 => "outcome unknown",
        Point::C13 => "in a reworded turn",
    }
}
