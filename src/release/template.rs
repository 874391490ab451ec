//! Texts with places to fill: `@NAME@`.

/// Fills the places of a text.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('@') {
        filled.push_str(before);
        let value = behind.split_once('@').and_then(|(name, behind)| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value, behind))
        });
        // An `@` that begins no place stays: `name@host`.
        let (text, behind) = value.unwrap_or(("@", behind));
        filled.push_str(text);
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

#[test]
fn places_are_filled_once() {
    let values = [("NAME", "@VERSION@"), ("VERSION", "1")];
    assert_eq!(fill("a @NAME@ b@c @VERSION@@NAME@ @OTHER@ @", &values), "a @VERSION@ b@c 1@VERSION@ @OTHER@ @");
}
