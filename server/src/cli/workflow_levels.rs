//! The steps of a definition by level: a step comes after all that it waits for, and steps of one level run side by side.

use domain::{
    task::Judge,
    workflow::{Definition, Drawing, Kind, Step},
};

use super::{task_result::shown, words::dim};

/// Level from 1, step, what it does, and what it waits for.
pub fn levels(definition: &Definition, drawing: &Drawing) -> Vec<Vec<String>> {
    let row = |(level, step): (usize, &Step)| {
        let needs: Vec<_> = step.all_needs().into_iter().map(|need| need.step).collect();
        vec![level.to_string(), step.id.clone(), does(step), needs.join(",")]
    };
    in_order(definition, drawing).into_iter().map(row).collect()
}

/// One line for each level.
pub fn level_lines(definition: &Definition, drawing: &Drawing) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    let mut last = 0;
    for (level, step) in in_order(definition, drawing) {
        let text = match does(step).as_str() {
            "command" | "prompt" => shown(&step.id),
            other => format!("{}{dim} ({}){dim:#}", shown(&step.id), shown(other), dim = dim()),
        };
        match lines.last_mut().filter(|_| level == last) {
            Some(line) => line.push_str(&format!(", {text}")),
            None => lines.push(format!("{dim}{level:>3}{dim:#}  {text}", dim = dim())),
        }
        last = level;
    }
    lines
}

fn in_order<'a>(definition: &'a Definition, drawing: &Drawing) -> Vec<(usize, &'a Step)> {
    let mut nodes: Vec<_> = drawing.nodes.iter().collect();
    nodes.sort_by_key(|node| (node.column, node.row));
    nodes
        .into_iter()
        .filter_map(|node| definition.steps.iter().find(|step| step.id == node.key).map(|step| (node.column + 1, step)))
        .collect()
}

/// `command`, `approval`, `prompt ×4`, `command for each of files`, `prompt, one of 3`, `prompt, one of 3, judged`
fn does(step: &Step) -> String {
    let kind = match step.kind() {
        Some(Kind::Command(_)) => "command".to_owned(),
        Some(Kind::Prompt(_)) => "prompt".into(),
        Some(Kind::Approval(_)) => "approval".into(),
        Some(Kind::Event(event)) => format!("event {}", event.name),
        Some(Kind::Wait) => "wait".into(),
        Some(Kind::Workflow(sub)) => format!("workflow {}", sub.name),
        None => String::new(),
    };
    match (&step.matrix, &step.for_each, &step.candidates) {
        (Some(matrix), _, _) => format!("{kind} ×{}", matrix.values().map(Vec::len).product::<usize>()),
        (_, Some(each), _) => format!("{kind} for each of {}", each.list),
        (_, _, Some(candidates)) => {
            let judge = if matches!(candidates.judge, Judge::Task(_)) { ", judged" } else { "" };
            format!("{kind}, one of {}{judge}", candidates.count)
        }
        _ => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::workflow::draw;

    #[test]
    fn steps_of_one_level_stand_together() {
        let definition: Definition = serde_json::from_value(serde_json::json!({"name": "release", "steps": [
            {"id": "build", "command": "make"},
            {"id": "test", "needs": ["build"], "command": "make test", "matrix": {"os": ["linux", "mac"]}},
            {"id": "notes", "needs": ["build"], "prompt": "Write the notes", "candidates": {"count": 3}},
            {"id": "ok", "needs": ["test", "notes"], "approval": {}},
        ]}))
        .unwrap();
        let keys: Vec<_> = definition.steps.iter().map(|step| step.id.clone()).collect();
        let edges: Vec<_> =
            definition.steps.iter().flat_map(|step| step.all_needs().into_iter().map(|need| (need.step, step.id.clone()))).collect();
        let drawing = draw(&keys, &edges);
        let plain = anstream::adapter::strip_str(&level_lines(&definition, &drawing).join("\n")).to_string();
        assert_eq!(plain, "  1  build\n  2  test (command ×2), notes (prompt, one of 3)\n  3  ok (approval)");
        assert_eq!(levels(&definition, &drawing)[3], ["3", "ok", "approval", "test,notes"]);
    }
}
