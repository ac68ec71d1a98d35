//! What the command line says.

use std::path::PathBuf;

/// How to call the program.
pub(crate) const USAGE: &str = "\
usage: cargo run --example quickstart [-- OPTIONS]
  --port N      listen on 127.0.0.1:N (default 8080; 0 lets the system choose)
  --data DIR    keep everything in DIR (default ./openclaw-data)
  --selftest    play a scripted conversation, kill and restart, check every answer
  --help        this text";

/// What to do.
#[derive(Debug, Clone)]
pub(crate) struct Args {
    pub(crate) port: u16,
    pub(crate) data: PathBuf,
    pub(crate) mode: Mode,
}

/// Which of the programs this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The support desk.
    Desk,
    /// The support desk as the self-test runs it: the shop can be told to lose an answer.
    Tested,
    /// The self-test.
    Selftest,
    /// The usage text.
    Help,
}

/// Reads the arguments, or says in one line what is wrong with them.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Args, String> {
    let mut parsed = Args { port: 8080, data: PathBuf::from("openclaw-data"), mode: Mode::Desk };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--port" => {
                let text = args.next().ok_or("--port needs a number")?;
                parsed.port = text.parse().map_err(|_number| {
                    format!("--port {text:?} is not a number from 0 to 65535")
                })?;
            }
            "--data" => {
                let dir = args.next().filter(|dir| !dir.is_empty());
                parsed.data = dir.ok_or("--data needs a directory")?.into();
            }
            "--selftest" => parsed.mode = Mode::Selftest,
            "--tested" => parsed.mode = Mode::Tested,
            "--help" | "-h" => parsed.mode = Mode::Help,
            other => return Err(format!("unknown argument {other:?}; try --help")),
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn defaults_and_options() {
        let args = read("--port 0 --data here --selftest").unwrap();
        assert_eq!((args.port, args.data.to_str(), args.mode), (0, Some("here"), Mode::Selftest));
        assert_eq!(read("").unwrap().port, 8080);
    }

    #[test]
    fn each_wrong_argument_is_named() {
        for (line, word) in [
            ("--port", "--port"),
            ("--port 70000", "70000"),
            ("--prot 1", "--prot"),
            ("--data", "--data"),
        ] {
            assert!(read(line).unwrap_err().contains(word), "{line}");
        }
    }
}
