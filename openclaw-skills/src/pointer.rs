//! RFC 6901 pointers, step by step.

/// The pointer to what this pointer's place has under this name.
pub(crate) fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The name that a step of a pointer stands for.
pub(crate) fn name(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_found_again() {
        for (key, pointer) in
            [("a", "/x/a"), ("", "/x/"), ("a/b~c", "/x/a~1b~0c"), ("~1", "/x/~01")]
        {
            assert_eq!(below("/x", key), pointer);
            assert_eq!(name(pointer.trim_start_matches("/x/")), key);
            let held = serde_json::json!({ "x": { key: 7 } });
            assert_eq!(held.pointer(pointer), Some(&7.into()), "{key:?}");
        }
    }
}
