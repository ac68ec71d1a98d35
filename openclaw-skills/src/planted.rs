//! Planted bugs of this crate: see `openclaw_core::planted`.

/// Is this bug planted in this thread? Never, in a build without `--cfg openclaw_planted`.
macro_rules! planted {
    ($bug:ident) => {{
        #[cfg(openclaw_planted)]
        let is = openclaw_core::planted::planted(openclaw_core::planted::Bug::$bug);
        #[cfg(not(openclaw_planted))]
        let is = false;
        is
    }};
}

pub(crate) use planted;
