//! What a platform shows: posts, their edits, and what its owner can look up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_core::{
    Call, Effect, Error, ErrorKind, MessageId, Result,
    channel::{Outbound, Receipt},
};

/// One post, as people see it.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) tenant: String,
    pub(super) place: String,
    pub(super) text: String,
    /// The key it came with; a hint has none.
    pub(super) key: Option<String>,
    pub(super) reply_to: Option<MessageId>,
    pub(super) deleted: bool,
    /// An edit with a key made the hint the reply.
    pub(super) replaced: bool,
}

/// What a platform shows. It honours keys when its posts are declared keyed.
#[derive(Debug)]
pub(super) struct Board {
    honours_keys: bool,
    posts: Mutex<Vec<Post>>,
}

impl Board {
    pub(super) fn new(post: Effect) -> Self {
        Self { honours_keys: matches!(post, Effect::Keyed { .. }), posts: Mutex::default() }
    }

    pub(super) fn posts(&self) -> MutexGuard<'_, Vec<Post>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the post with this key.
    pub(super) fn find(&self, key: &str) -> Option<usize> {
        self.posts().iter().position(|post| post.key.as_deref() == Some(key))
    }

    /// Does what is asked for.
    pub(super) fn take(&self, call: &Call<Outbound>) -> Result<Receipt> {
        let key = call.key().map(ToString::to_string);
        match call.payload() {
            Outbound::Post { to, part, reply_to } => {
                if let Some(at) =
                    key.as_deref().filter(|_| self.honours_keys).and_then(|k| self.find(k))
                {
                    return Ok(receipt(at));
                }
                let mut posts = self.posts();
                posts.push(Post {
                    tenant: call.context().tenant().to_string(),
                    place: to.id.to_string(),
                    text: part.content.to_text().into_owned(),
                    key,
                    reply_to: *reply_to,
                    deleted: false,
                    replaced: false,
                });
                Ok(receipt(posts.len() - 1))
            }
            Outbound::Edit { message, part, .. } => {
                self.change(message, |post| {
                    post.text = part.content.to_text().into_owned();
                    if key.is_some() {
                        (post.key, post.replaced) = (key, true);
                    }
                })?;
                Ok(Receipt::new(Arc::clone(message)))
            }
            Outbound::Delete { message, .. } => {
                self.change(message, |post| post.deleted = true)?;
                Ok(Receipt::new(Arc::clone(message)))
            }
            Outbound::React { .. } | Outbound::Typing { .. } => {
                Err(Error::new(ErrorKind::Unsupported, "the platform has no such thing"))
            }
        }
    }

    fn change(&self, message: &str, change: impl FnOnce(&mut Post)) -> Result<()> {
        let missing = || Error::new(ErrorKind::NotFound, "there is no such post");
        let at = message.strip_prefix('p').and_then(|at| at.parse::<usize>().ok());
        let mut posts = self.posts();
        change(at.and_then(|at| posts.get_mut(at)).ok_or_else(missing)?);
        Ok(())
    }
}

/// What the platform calls the post at this place.
pub(super) fn receipt(at: usize) -> Receipt {
    Receipt::new(format!("p{at}"))
}
