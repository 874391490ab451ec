//! Splits what is typed into the console into words, as shells do: by white space, unless it is quoted.

/// The words of a line. `'…'` is taken as it is; in `"…"` a backslash quotes `"` and `\`; outside, it quotes anything.
///
/// # Errors
/// When a quotation has no end.
pub fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("there is a ' without another one"),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => match rest.next() {
                            Some(c @ ('"' | '\\')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("there is a \" without another one"),
                        },
                        Some(c) => word.push(c),
                        None => return Err("there is a \" without another one"),
                    }
                }
            }
            '\\' => match rest.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("there is a \\ with nothing behind it"),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_in_a_shell() {
        let split = |line| split(line).map(|words| words.join("|"));
        assert_eq!(split("  deploy  x --\t--input a\\ b ").as_deref(), Ok("deploy|x|--|--input|a b"));
        assert_eq!(split(r#"a'b "c'd "e\"\f" '' "#).as_deref(), Ok(r#"ab "cd|e"\f|"#));
        assert_eq!(split("").as_deref(), Ok(""));
        assert!(split("'a").is_err() && split("\"a\\").is_err() && split("a\\").is_err());
    }
}
