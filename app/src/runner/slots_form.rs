//! How somebody sets how many tasks a machine works on at once. A form, so it works without scripts.

use domain::{
    FieldError, Runner, RunnerId,
    runner::{RunnerChange, SLOTS_MAX},
};
use leptos::{form::ActionForm, prelude::*};

use super::ChangeRunner;
use crate::{
    components::{Button, ButtonKind, Icon, Reveal, TextField},
    problem::Problem,
    text::capitalised,
};

/// What the form says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    id: RunnerId,
    name: String,
    own: i32,
    set: Option<i32>,
}

impl Slots {
    pub fn of(runner: &Runner) -> Self {
        Self { id: runner.id, name: runner.name.clone(), own: runner.slots_own, set: runner.slots_set }
    }
}

/// Opens without scripts, and where the number was wrong.
#[component]
pub fn SlotsForm(slots: Slots, change: ServerAction<ChangeRunner>) -> impl IntoView {
    let Slots { id, name, own, set } = slots;
    let wrong = move || change.value().with(|answer| answer.as_ref().and_then(|answer| answer.as_ref().err()).map(messages));
    let errors = Signal::derive(move || wrong().unwrap_or_default());
    let is_wrong = !errors.get_untracked().is_empty();
    let value = set.map(|slots| slots.to_string()).unwrap_or_default();
    let hint = format!("1 to {SLOTS_MAX}. Empty for as many as its machine says: {own}.");
    view! {
        <Reveal text="Slots…" shape=Icon::Gauge about=name.clone() open=is_wrong>
            <ActionForm action=change>
                <input type="hidden" name="id" value=id.to_string() />
                <p>"How many tasks it works on at once. It holds from then on, without a restart; what it works on beyond that goes on."</p>
                <TextField id="runner-slots" label="Slots" name="slots" value=value hint=hint errors=errors max=4_u32 />
                <Button text=format!("Set the slots of {name}") kind=ButtonKind::Primary busy=change.pending() />
            </ActionForm>
        </Reveal>
    }
}

fn messages(problem: &Problem) -> Vec<String> {
    problem.field("/slots").map(|message| format!("{}.", capitalised(message))).into_iter().collect()
}

/// What was done, in a few words.
pub(super) fn done(runner: &Runner) -> String {
    match runner.slots_set {
        Some(slots) => format!("Its slots are set to {slots}"),
        None => "It has as many slots as its machine says".into(),
    }
}

/// What was typed; empty for as many as its machine says.
pub fn read(text: &str) -> Result<RunnerChange, Problem> {
    let slots = match text.trim() {
        "" => None,
        number => Some(number.parse().map_err(|_| {
            let message = "must be a whole number, or empty";
            let error = FieldError { pointer: "/slots".into(), code: "malformed".into(), message: message.into() };
            Problem::invalid(vec![error], format!("The number of slots {message}."))
        })?),
    };
    Ok(RunnerChange { slots })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_and_nothing_leaves_it_to_the_machine() {
        assert_eq!(read(" 8 "), Ok(RunnerChange { slots: Some(8) }));
        assert_eq!(read(""), Ok(RunnerChange { slots: None }));
        for wrong in ["many", "1.5", "99999999999"] {
            assert_eq!(
                read(wrong).map_err(|problem| messages(&problem)),
                Err(vec!["Must be a whole number, or empty.".to_owned()]),
                "{wrong}"
            );
        }
    }
}
