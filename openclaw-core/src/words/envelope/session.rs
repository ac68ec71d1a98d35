//! A conversation by one name.

use super::Conversation;
use crate::{Digest, SessionId};

impl Conversation {
    /// Its name, by which budgets count it and people find it.
    ///
    /// It is `channel/account/id`, then `/thread` in one, with `/` and `%` escaped as in a URL. A
    /// name over 128 bytes, or with a control character, is that of a digest. Of which kind the
    /// place is does not matter.
    ///
    /// ```
    /// use openclaw_core::{ChannelId, Conversation};
    ///
    /// let place = Conversation::new(ChannelId::new("web")?, "team/42").on_account("eu");
    /// assert_eq!(place.session().as_str(), "web/eu/team%2F42");
    /// # Ok::<(), openclaw_core::InvalidId>(())
    /// ```
    #[must_use]
    pub fn session(&self) -> SessionId {
        let thread = self.thread.as_deref().filter(|thread| !thread.is_empty());
        let place = [self.channel.as_str(), &self.account, &self.id];
        let mut name = String::with_capacity(64);
        for (n, part) in place.into_iter().chain(thread).enumerate() {
            if n > 0 {
                name.push('/');
            }
            for letter in part.chars() {
                match letter {
                    '/' => name.push_str("%2F"),
                    '%' => name.push_str("%25"),
                    letter => name.push(letter),
                }
            }
        }
        SessionId::of(&name, || Digest::of("openclaw.session", [&name]).short())
    }
}
