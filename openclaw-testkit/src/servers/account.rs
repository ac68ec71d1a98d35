//! The ordinary account that a server runs under when the tests run as root.

use std::fs;

use super::error::ServerError;

/// Accounts to borrow, the best first.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// The numbers of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// An account without privileges; `None` when this process has none itself.
    pub(super) fn unprivileged() -> Result<Option<Self>, ServerError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd")
            .map_err(ServerError::io("read the accounts in /etc/passwd"))?;
        let found = ACCOUNTS.iter().find_map(|name| Self::named(name, &users));
        let none = || ServerError::Io {
            doing: format!("find an account without privileges ({})", ACCOUNTS.join(", ")),
            source: std::io::ErrorKind::NotFound.into(),
        };
        found.ok_or_else(none).map(Some)
    }

    fn named(name: &str, users: &str) -> Option<Self> {
        let mut fields = users.lines().map(|line| line.split(':'));
        let mut user = fields.find_map(|mut f| (f.next() == Some(name)).then_some(f))?;
        let uid = user.nth(1)?.parse().ok()?;
        Some(Self { uid, gid: user.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_by_its_whole_name() {
        let users = "postgresql:x:1:1::/:/bin/sh\npostgres:x:101:104:a,b:/var:/bin/bash\n";
        assert_eq!(Account::named("postgres", users), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(Account::named("nobody", users), None);
    }
}
