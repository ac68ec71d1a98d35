//! The strict part: what the specification wants, and what the product reads otherwise.

use super::{
    diagnostic::{Diagnostic, printable},
    doc::Invocation,
    front_matter::FrontMatter,
    script_text::trim,
    yaml::Value,
};

const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 1024;
const MAX_COMPATIBILITY: usize = 500;

/// Fields of the specification, then those that the product adds.
const KNOWN: [&str; 14] = [
    "name",
    "description",
    "license",
    "compatibility",
    "metadata",
    "allowed-tools",
    "homepage",
    "user-invocable",
    "disable-model-invocation",
    "command-dispatch",
    "command-tool",
    "command-arg-mode",
    "read_when",
    "summary",
];

/// What is wrong before a line is read.
pub(super) fn bytes(bytes: &[u8], found: &mut Vec<Diagnostic>) {
    let line_of =
        |at: usize| Some(1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count());
    if let Err(error) = std::str::from_utf8(bytes) {
        let message = "the file is not UTF-8; what can't be read is replaced";
        found.push(Diagnostic::error("not-utf8", message).at(line_of(error.valid_up_to())));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let message = "the file has zero bytes: it is not a text";
        found.push(Diagnostic::error("binary", message).at(line_of(at)));
    }
    if bytes.starts_with("\u{feff}".as_bytes()) {
        let message = "the file begins with a byte order mark; it is passed over";
        found.push(Diagnostic::warning("byte-order-mark", message).at(Some(1)));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == b'\r') {
        let message = "lines end with a carriage return; they are read as plain line ends";
        found.push(Diagnostic::note("carriage-returns", message).at(line_of(at)));
    }
}

/// The line of the file for one of the block.
fn in_file(line: usize) -> Option<usize> {
    Some(line + 2)
}

/// What was repaired, and what no repair could read.
pub(super) fn repairs(front: &FrontMatter, found: &mut Vec<Diagnostic>) {
    if let Some((message, line)) = &front.refused {
        let refused = Diagnostic::error("yaml-invalid", message).at(line.and_then(in_file));
        return found.push(refused);
    }
    for (key, fault, line) in &front.repaired {
        let message = format!("{}; read with quotes around the text", fault.message);
        found.push(Diagnostic::warning("yaml-repaired", message).at(in_file(*line)).of(key));
    }
}

/// The fields of the specification.
pub(super) fn fields(front: &FrontMatter, folder: Option<&str>, found: &mut Vec<Diagnostic>) {
    let line = |name: &str| front.lines.get(name).copied().and_then(in_file);
    let text =
        |name: &str| front.fields.get(name).map(|text| trim(text)).filter(|text| !text.is_empty());
    name(text("name"), folder, line("name"), found);
    let Some(description) = text("description") else {
        let message = "a skill needs a description: without one it is not offered";
        found.push(
            Diagnostic::error("description-missing", message)
                .of("description")
                .at(line("description")),
        );
        return rest(front, found);
    };
    longer_than(MAX_DESCRIPTION, description, "description", line("description"), found);
    if let Some(compatibility) = text("compatibility") {
        longer_than(
            MAX_COMPATIBILITY,
            compatibility,
            "compatibility",
            line("compatibility"),
            found,
        );
    }
    rest(front, found);
}

fn longer_than(
    max: usize,
    text: &str,
    field: &str,
    line: Option<usize>,
    found: &mut Vec<Diagnostic>,
) {
    let count = text.chars().count();
    if count > max {
        let message = format!("the {field} has {count} characters, of at most {max}");
        found.push(Diagnostic::warning("too-long", message).of(field).at(line));
    }
}

fn name(
    name: Option<&str>,
    folder: Option<&str>,
    line: Option<usize>,
    found: &mut Vec<Diagnostic>,
) {
    let Some(name) = name else {
        let message = "a skill needs a name; its folder's name stands in";
        return found.push(Diagnostic::warning("name-missing", message).of("name").at(line));
    };
    let sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let hyphens = name.starts_with('-') || name.ends_with('-') || name.contains("--");
    if name.chars().count() > MAX_NAME || !name.chars().all(sign) || hyphens {
        let message = format!(
            "a name has 1 to {MAX_NAME} letters a-z, digits and single hyphens inside, which {} has not",
            printable(name)
        );
        found.push(Diagnostic::warning("name-invalid", message).of("name").at(line));
    }
    if let Some(folder) = folder.filter(|folder| *folder != name) {
        let message = format!("the name is not that of its folder, {}", printable(folder));
        found.push(Diagnostic::warning("name-not-folder", message).of("name").at(line));
    }
}

/// Types, and fields that nobody reads.
fn rest(front: &FrontMatter, found: &mut Vec<Diagnostic>) {
    for field in front.fields.keys() {
        let line = front.lines.get(field).copied().and_then(in_file);
        let value = front.values.get(field);
        let is_map = matches!(value, Some(Value::Map(_)));
        let is_text = matches!(value, None | Some(Value::Text(_)));
        match field.as_str() {
            "metadata" if is_map => {}
            "metadata" => {
                let message = "the specification wants a mapping here";
                found.push(Diagnostic::note("metadata-not-a-mapping", message).of(field).at(line));
            }
            "user-invocable" | "disable-model-invocation" => {}
            known if KNOWN.contains(&known) => {
                if !is_text {
                    let message = "the specification wants text here; it is read as text";
                    found.push(Diagnostic::note("not-text", message).of(field).at(line));
                }
            }
            _ => {
                let message = "neither the specification nor the gateway knows this field";
                found.push(Diagnostic::note("field-unknown", message).of(field).at(line));
            }
        }
    }
}

/// Who may use the skill.
pub(super) fn invocation(front: &FrontMatter, found: &mut Vec<Diagnostic>) -> Invocation {
    let mut flag = |name: &str, default: bool| {
        let text = front.fields.get(name).map(|text| trim(text).to_lowercase());
        match text.as_deref() {
            Some("true" | "1" | "yes" | "on") => true,
            Some("false" | "0" | "no" | "off") => false,
            None | Some("") => default,
            Some(_) => {
                let line = front.lines.get(name).copied().and_then(in_file);
                let message = format!("true or false is wanted here; read as {default}");
                found.push(Diagnostic::warning("flag-unclear", message).of(name).at(line));
                default
            }
        }
    };
    let by_user = flag("user-invocable", true);
    let by_model = !flag("disable-model-invocation", false);
    let text =
        |name: &str| front.fields.get(name).map(|text| trim(text)).filter(|text| !text.is_empty());
    let dispatch = text("command-dispatch").map(str::to_lowercase);
    let tool = text("command-tool").map(str::to_owned);
    if let Some(dispatch) = &dispatch
        && (dispatch != "tool" || tool.is_none())
    {
        let message = "only `command-dispatch: tool` with a command-tool is known; the skill goes to the model";
        found.push(Diagnostic::warning("dispatch-unknown", message).of("command-dispatch"));
    }
    let tool = tool.filter(|_| dispatch.as_deref() == Some("tool"));
    Invocation { by_user, by_model, tool }
}
