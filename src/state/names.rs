//! Text of users as a part of a path.

use crate::codec::stable_hash;

/// Most bytes of a name as it is kept, by which many systems' 255 have room for more around it.
const MOST_NAME: usize = 200;

/// How much of a name is kept that is longer: its hash, and a dash, stand behind it.
const KEPT: usize = MOST_NAME - 17;

/// What stands for the empty text. No other text is written so, for what follows a `%` is two digits otherwise.
const EMPTY: &str = "%-";

/// A text as one part of a path, which has no meaning of its own anywhere: everything but `[A-Za-z0-9._-]` is encoded
/// by percent signs; it is never empty, `.` or `..`. Texts that differ are written differently, except that of those
/// with more than 200 bytes a hash of 64 bits says who they are.
pub fn path_name(text: &str) -> String {
    if text.is_empty() {
        return EMPTY.to_owned();
    }
    let hides = text.bytes().all(|byte| byte == b'.');
    let mut name = String::new();
    let mut kept = 0;
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_') || (letter == '.' && !hides) {
            name.push(letter);
        } else {
            letter.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| name.push_str(&format!("%{byte:02X}")));
        }
        if name.len() <= KEPT {
            kept = name.len();
        } else if name.len() > MOST_NAME {
            name.truncate(kept);
            return format!("{name}-{:016x}", stable_hash(text));
        }
    }
    name
}

/// The text that [`path_name`] has written so; none if it writes none so. Of a text that was too long, what was kept of
/// it: that is written in the same way.
pub fn text_of(name: &str) -> Option<String> {
    if name == EMPTY {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok().filter(|text| path_name(text) == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_safe() {
        for (text, name) in [
            ("wordcount", "wordcount"),
            ("Word_count-2.0", "Word_count-2.0"),
            (".hidden", ".hidden"),
            ("", "%-"),
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("%-", "%25-"),
            ("../etc/passwd", "..%2Fetc%2Fpasswd"),
            ("a b\0ä#1", "a%20b%00%C3%A4%231"),
        ] {
            assert_eq!(path_name(text), name);
            assert_eq!(text_of(name).as_deref(), Some(text));
        }
        for name in ["", ".", "..", "a/b", "a b", "%", "%4", "%2f", "%41", "%+1", "ä", "%FF", "..%2E"] {
            assert_eq!(text_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_long_name_is_cut_and_told_from_others() {
        let long = "ä".repeat(300);
        let (name, other) = (path_name(&long), path_name(&"ä".repeat(301)));
        assert!(name.len() <= MOST_NAME && name != other, "{name}");
        let kept = text_of(&name).expect("what was kept");
        assert_eq!(path_name(&kept), name, "it is found again by what is shown of it");
        assert_eq!(path_name(&"x".repeat(MOST_NAME)), "x".repeat(MOST_NAME));
    }

    proptest! {
        #[test]
        fn every_text_has_a_name_of_its_own(text in any::<String>()) {
            let name = path_name(&text);
            prop_assert!(!name.is_empty() && name.len() <= MOST_NAME && name != "." && name != "..");
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-%".contains(&byte)));
            let again = text_of(&name).expect("a text");
            prop_assert_eq!(path_name(&again), name);
        }

        #[test]
        fn whatever_stands_in_a_store_is_no_surprise(name in any::<String>()) {
            if let Some(text) = text_of(&name) {
                prop_assert_eq!(path_name(&text), name);
            }
        }
    }
}
