//! Three remotes that keep books: what was asked under which key, and what was done for whom.

use std::collections::BTreeMap;

use crate::wire::{Name, Remote};

/// The books of the remotes.
#[derive(Debug, Default)]
pub(crate) struct Books {
    serials: u64,
    /// What was done first under a key, and for which arguments.
    keys: BTreeMap<(Remote, String), (String, u64)>,
    /// The serial numbers of all effects for a message.
    effects: BTreeMap<(Remote, Name), Vec<u64>>,
    /// Calls that the keyed remote refused: the key was known with other arguments.
    refused: u64,
}

impl Books {
    /// Does it, or answers as the first time. `None`: refused.
    pub(crate) fn effect(
        &mut self,
        remote: Remote,
        key: String,
        message: Name,
        arguments: String,
    ) -> Option<u64> {
        let first = self.keys.get(&(remote, key.clone()));
        if let (Remote::Keyed, Some((before, serial))) = (remote, first) {
            if *before == arguments {
                return Some(*serial);
            }
            self.refused += 1;
            return None;
        }
        self.serials += 1;
        let serial = self.serials;
        self.keys.entry((remote, key)).or_insert((arguments, serial));
        self.effects.entry((remote, message)).or_default().push(serial);
        Some(serial)
    }

    /// What was done under this key at the remote that can be asked.
    pub(crate) fn look_up(&self, key: String) -> Option<u64> {
        self.keys.get(&(Remote::Reconcilable, key)).map(|(_, serial)| *serial)
    }

    /// The effects for a message.
    pub(crate) fn done(&self, remote: Remote, message: Name) -> &[u64] {
        self.effects.get(&(remote, message)).map_or(&[], Vec::as_slice)
    }

    /// Every message with an effect.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Remote, Name, usize)> {
        self.effects.iter().map(|((remote, message), serials)| (*remote, *message, serials.len()))
    }

    /// Effects beyond one for a message.
    pub(crate) fn duplicated(&self) -> u64 {
        self.effects.values().map(|serials| (serials.len() as u64).saturating_sub(1)).sum()
    }

    /// Calls under a known key with other arguments.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }
}
