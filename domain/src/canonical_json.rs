//! JSON in the one way in which everybody writes it (RFC 8785), so that a hash of it can be told again from the same facts: names in
//! order, nothing between the parts. Numbers have to be whole, and below 2^53.

use serde::Serialize;
use serde_json::Value;

pub(crate) fn canonical(facts: &impl Serialize) -> String {
    let mut text = String::new();
    write(&serde_json::to_value(facts).unwrap_or_default(), &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (index, (name, value)) in fields.into_iter().enumerate() {
                separate(index, text);
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                separate(index, text);
                write(value, text);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

fn separate(index: usize, text: &mut String) {
    if index > 0 {
        text.push(',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_written_as_everybody_writes_it() {
        let facts = json!({"b": [true, null, 7], "a": {"z": "é\u{1f}\n\"\\/", "B": ""}, "": -1});
        assert_eq!(canonical(&facts), "{\"\":-1,\"a\":{\"B\":\"\",\"z\":\"é\\u001f\\n\\\"\\\\/\"},\"b\":[true,null,7]}");
    }
}
