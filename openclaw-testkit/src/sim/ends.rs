//! How lives end, and what has to hold when one begins or ends.

use std::{collections::BTreeSet, time::Duration};

use openclaw_core::{MessageId, gateway::Gateway};
use tokio::time::{sleep, timeout};

use super::{
    Fault,
    books::Course,
    clerk::lane_of,
    lives::{End, Lives, Process},
    mark::life,
    plan::Ending,
};

impl Lives {
    /// Whoever waited for the end of a message has heard of it.
    pub(super) async fn check_settled(&self) {
        sleep(Duration::from_secs(1)).await;
        let mut books = self.scene.books();
        if !books.awaited.is_empty() {
            let awaited = books.awaited.clone();
            books.violate(format!(
                "everything is over, and nobody told those who wait for {awaited:?}"
            ));
        }
    }

    /// Another process finds nothing to do.
    pub(super) async fn start_on_nothing(&mut self, last: Process) {
        last.here.power.cut();
        let Some(next) = self.start(None).await else {
            return self.scene.violate("everything is over, and no gateway starts".to_owned());
        };
        if !next.gateway.recovered().is_empty() {
            let left = next.gateway.recovered();
            self.scene.violate(format!("everything is over, and a start finds {left:?}"));
        }
        next.kill().await;
    }

    /// A start finds every message that is not finished.
    pub(super) fn check_start(&self, gateway: &Gateway) {
        let faults = &self.scene.plan.faults;
        // What arrives late was not there yet.
        if !self.old.is_empty() || faults.has(Fault::LateCommit) || faults.has(Fault::StoreHangs) {
            return;
        }
        let found = gateway.recovered();
        let mut books = self.scene.books();
        let open = books.courses.values().filter(|course| course.open).count();
        if found.turns + found.replies + found.waiting != open {
            books.violate(format!("{open} messages are not finished, and a start finds {found:?}"));
        }
    }

    /// The planned end of a life has come.
    pub(super) async fn end(&mut self, process: &Process, ending: Option<Ending>) -> End {
        let marks = &self.scene.marks;
        let storming = self.scene.dice.storming();
        match ending {
            None => End::Stuck,
            Some(_) if !storming => {
                // The faults are over: it may as well be killed cleanly.
                process.here.power.cut();
                End::Dead
            }
            Some(Ending::After(_) | Ending::AtCommit { .. } | Ending::AtEffect { .. }) => {
                marks.hit(Fault::Kill.name());
                process.here.power.cut();
                End::Dead
            }
            Some(Ending::TakenOver { .. }) => {
                marks.hit(Fault::Takeover.name());
                End::Succeeded
            }
            Some(Ending::Paused { by, .. }) => {
                marks.hit(Fault::Pause.name());
                process.here.power.pause();
                let power = process.here.power.clone();
                tokio::spawn(async move {
                    sleep(by).await;
                    power.resume();
                });
                End::Succeeded
            }
            Some(Ending::Drained { within, .. }) => {
                marks.hit(Fault::Drain.name());
                self.drain(process, within).await;
                End::Drained
            }
        }
    }

    async fn drain(&self, process: &Process, within: Duration) {
        process.here.stop();
        let drained =
            timeout(within + Duration::from_secs(300), process.gateway.drain(within)).await;
        match drained {
            Err(_late) => self.scene.violate("a drain does not end".to_owned()),
            Ok(Err(_)) => self.scene.marks.hit(life::CUT_SHORT),
            Ok(Ok(())) => {
                self.scene.marks.hit(life::DRAINED);
                self.check_drained(process);
            }
        }
    }

    /// After a drain that finished, nothing is in flight.
    fn check_drained(&self, process: &Process) {
        let mut books = self.scene.books();
        if books.owner > process.here.process {
            return;
        }
        let mut known_as = books.known_as.clone();
        known_as.extend(self.people.accepted().into_iter().map(|(n, id)| (id, n)));
        let lane = |id: &MessageId| {
            let saying = known_as.get(id).and_then(|n| self.scene.saying(*n))?;
            Some(lane_of(&saying.envelope()))
        };
        let open: Vec<_> = books.courses.iter().filter(|(_, course)| course.open).collect();
        let is_deferred = |course: &Course| {
            let last = course.labels.last();
            course.replied.is_some() && matches!(last, Some(&("defer" | "attempt")))
        };
        // A deferred reply waits in the store, and whatever is behind it.
        let held: BTreeSet<_> = open
            .iter()
            .filter(|(_, course)| is_deferred(course))
            .filter_map(|(id, _)| lane(id))
            .collect();
        let left: Vec<String> = open
            .iter()
            .filter(|(id, _)| !books.waiting.contains(id) && !books.doubted.contains(id))
            .filter(|(id, course)| {
                let deferred = course.replied.is_some()
                    && (is_deferred(course) || lane(id).is_none_or(|lane| held.contains(&lane)));
                !deferred
            })
            .map(|(id, course)| format!("{id} ({:?})", course.labels))
            .collect();
        if !left.is_empty() {
            books.violate(format!("a drain finished and left {left:?}"));
        }
    }

    pub(super) async fn tell_what_is_stuck(&self, process: &Process) {
        let unheard = self.people.unheard();
        let mut open = Vec::new();
        for (n, id) in self.people.accepted() {
            let saying = self.scene.saying(n);
            let Some(saying) = saying else { continue };
            if let Ok(Some(status)) = process.gateway.status(&saying.tenant, id).await
                && !status.state.is_final()
            {
                let labels = self.scene.books().courses.get(&id).map(|c| c.labels.clone());
                open.push(format!("{} is {:?} {labels:?}", saying.text, status.state));
            }
        }
        let depths = process.gateway.depths();
        self.scene.violate(format!(
            "not everything came to its end: unheard {unheard:?}, quiet {}, {depths:?}, {}, open {open:?}",
            self.people.is_quiet(),
            self.operator.trouble
        ));
    }
}
