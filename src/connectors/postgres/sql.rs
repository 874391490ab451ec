//! The statements of sources and sinks.
//!
//! Records travel as JSON, and the server makes of each value what its column is: `json_populate_record` knows all
//! types that there are, those of users included.

/// A name in quotes, so that it is nothing else.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table, perhaps with its schema: `orders`, `shop.orders`.
pub(super) fn quoted_table(table: &str) -> String {
    table.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

/// Where records of a table are put aside: a table beside it.
pub(super) fn aside_of(table: &str) -> String {
    let schema = table.rsplit_once('.').map(|(schema, _)| format!("{}.", quoted_table(schema)));
    format!("{}\"skitter_aside\"", schema.unwrap_or_default())
}

fn listed(before: &str, names: &[String]) -> String {
    names.iter().map(|name| format!("{before}{}", quoted(name))).collect::<Vec<_>>().join(", ")
}

/// Fails if there is no such table, or a column is not there.
pub(super) fn probe(table: &str, columns: &[String]) -> String {
    format!("SELECT {} FROM {} LIMIT 0", listed("", columns), quoted_table(table))
}

/// Writes the records of an array of JSON objects, which is the only parameter.
pub(super) fn insert(table: &str, columns: &[String], key: &[String]) -> String {
    let from = "json_array_elements($1::text::json) WITH ORDINALITY AS element(record, number)";
    write(table, columns, key, from)
}

/// Writes the records that are in a batch, which is the only parameter, and deletes them there.
pub(super) fn publish(table: &str, columns: &[String], key: &[String]) -> String {
    let aside = aside_of(table);
    let moved = format!("WITH element AS (DELETE FROM {aside} WHERE batch = $1 RETURNING record, number)");
    format!("{moved} {}", write(table, columns, key, "element"))
}

/// Of several records of a key the last one counts: a statement may change a row only once. Rows are written in the
/// order of their keys, so that two workers do not wait for each other.
fn write(table: &str, columns: &[String], key: &[String], from: &str) -> String {
    let name = quoted_table(table);
    let (into, values) = (listed("", columns), listed("made.", columns));
    let made = format!("FROM {from} CROSS JOIN LATERAL json_populate_record(NULL::{name}, element.record) AS made");
    if key.is_empty() {
        return format!("INSERT INTO {name} ({into}) SELECT {values} {made} ORDER BY element.number");
    }
    let keys = listed("made.", key);
    let others = columns.iter().filter(|column| !key.contains(column));
    let set: Vec<_> =
        others.map(|column| quoted(column)).map(|column| format!("{column} = EXCLUDED.{column}")).collect();
    let action = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
    format!(
        "INSERT INTO {name} ({into}) SELECT DISTINCT ON ({keys}) {values} {made} ORDER BY {keys}, element.number DESC \
         ON CONFLICT ({}) DO {action}",
        listed("", key)
    )
}

/// Makes the table of what is aside.
pub(super) fn create_aside(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (batch text, number bigint, record json NOT NULL, PRIMARY KEY (batch, number))",
        aside_of(table)
    )
}

/// Puts records aside: a batch, the number before the first record, an array of JSON objects. What is there already
/// stays. Each is made a row on the way, so that one that fits no row is found before its checkpoint is complete.
pub(super) fn put_aside(table: &str) -> String {
    format!(
        "INSERT INTO {} (batch, number, record) SELECT $1, $2::bigint + element.number, element.record \
         FROM json_array_elements($3::text::json) WITH ORDINALITY AS element(record, number) \
         CROSS JOIN LATERAL json_populate_record(NULL::{}, element.record) AS made ON CONFLICT DO NOTHING",
        aside_of(table),
        quoted_table(table)
    )
}

/// Deletes what a life of a worker has put aside, but for some batches.
pub(super) fn sweep(table: &str) -> String {
    format!("DELETE FROM {} WHERE starts_with(batch, $1 || '-') AND batch <> ALL($2)", aside_of(table))
}

/// The key of the rows of a query, to learn its type.
pub(super) fn key_of(query: &str, key: &str) -> String {
    format!("SELECT page.{} FROM ({query}) AS page", quoted(key))
}

/// The next rows of a query in the order of their key, behind that which is the only parameter, if there is one: keys
/// as text, and rows as JSON. All rows of one key are on one page.
pub(super) fn page(query: &str, key: &str, behind: Option<&str>, rows: usize) -> String {
    let key = format!("page.{}", quoted(key));
    let behind = behind.map(|of_type| format!(" AND {key} > $1::text::{of_type}")).unwrap_or_default();
    format!(
        "SELECT {key}::text, row_to_json(page)::text FROM ({query}) AS page WHERE {key} IS NOT NULL{behind} \
         ORDER BY {key} FETCH FIRST {rows} ROWS WITH TIES"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_nothing_but_names() {
        assert_eq!(quoted_table("shop.orders"), "\"shop\".\"orders\"");
        assert_eq!(quoted("x\"; DROP TABLE y; --"), "\"x\"\"; DROP TABLE y; --\"");
        assert_eq!(aside_of("shop.orders"), "\"shop\".\"skitter_aside\"");
        assert_eq!(aside_of("orders"), "\"skitter_aside\"");
    }

    #[test]
    fn a_key_alone_has_nothing_to_set() {
        let columns = ["a".to_owned(), "b".to_owned()];
        assert!(insert("t", &columns, &columns).ends_with("ON CONFLICT (\"a\", \"b\") DO NOTHING"));
        assert!(insert("t", &columns, &columns[..1]).ends_with("DO UPDATE SET \"b\" = EXCLUDED.\"b\""));
        assert!(!insert("t", &columns, &[]).contains("CONFLICT"));
    }
}
