//! What models cost in this workspace, which were used without a price, and how admins change that.

use domain::{
    Identity, Permission,
    endpoint::MODEL_MAX,
    price::{ModelPrice, ModelPrices, UnpricedModel},
};
use leptos::{form::ActionForm, prelude::*};

use super::{RemoveModelPrice, SetModelPrice};
use crate::{
    components::{Button, ButtonKind, DataTable, Icon, Reveal, TextField, Time, toast::tell},
    endpoint::acts::refusal,
    layout::Who,
    problem::Problem,
    task::form::messages,
    text::count,
};

/// What a person can do with prices.
#[derive(Clone, Copy)]
pub struct PriceActs {
    set: ServerAction<SetModelPrice>,
    remove: ServerAction<RemoveModelPrice>,
}

impl PriceActs {
    pub fn new(refresh: Callback<()>) -> Self {
        let acts = Self { set: ServerAction::new(), remove: ServerAction::new() };
        tell(acts.set.value(), |price| format!("{} costs that from now on", price.model), refresh);
        tell(acts.remove.value(), |()| "What it costs is unknown from now on".into(), refresh);
        acts
    }

    /// The server's no, at its place in the page.
    pub fn refusal(self) -> impl IntoView {
        move || {
            let set = self.set.value().get().and_then(Result::err);
            set.or_else(|| self.remove.value().get().and_then(Result::err)).map(|problem| refusal(as_labelled(problem)))
        }
    }
}

/// Fields, as the server names them and as the form does.
const LABELS: [(&str, &str); 4] = [
    ("/input_micros", "/input"),
    ("/output_micros", "/output"),
    ("/cache_read_micros", "/input from a cache"),
    ("/cache_write_micros", "/input to a cache"),
];

fn as_labelled(mut problem: Problem) -> Problem {
    for error in &mut problem.errors {
        if let Some((_, label)) = LABELS.iter().find(|(pointer, _)| *pointer == error.pointer) {
            error.pointer = (*label).to_owned();
        }
    }
    problem
}

const COLUMNS: &[(&str, &str)] =
    &[("Model", ""), ("For a million tokens", "c-table__place"), ("Since", "c-table__place"), ("Change", "c-table__acts")];

pub fn prices_part(prices: Signal<ModelPrices>, who: Option<Who>, acts: PriceActs) -> impl IntoView {
    let may_change =
        move || matches!(who.map(|who| who.get()), Some(Some(Ok(Identity { role, .. }))) if role.may(Permission::ManagePrices));
    let rows = move || prices.with(|all| all.prices.clone());
    let is_empty = Memo::new(move |_| prices.with(|all| all.prices.is_empty()));
    let unpriced = Memo::new(move |_| prices.with(|all| all.unpriced.clone()));
    view! {
        <section class="l-part" id="prices" aria-labelledby="prices-title">
            <h2 class="l-part__title" id="prices-title">"Prices of models"</h2>
            <p class="u-quiet">
                "What an answer cost is counted when it comes, by the price of that time, unless its agent tells it. Without a price it is unknown. Muster \
                 brings no prices along."
            </p>
            {move || {
                if is_empty.get() {
                    return view! { <p class="u-quiet">"No model has a price."</p> }.into_any();
                }
                view! {
                    <DataTable caption="Prices, by model" columns=COLUMNS>
                        <For each=rows key=|price| (price.model.clone(), price.valid_from) let:price>{row(price, may_change, acts)}</For>
                    </DataTable>
                }
                .into_any()
            }}
            {move || without(unpriced.get())}
            {move || may_change().then(|| set_form(acts))}
        </section>
    }
}

fn row(price: ModelPrice, may_change: impl Fn() -> bool + Send + Sync + 'static, acts: PriceActs) -> impl IntoView {
    let model = price.model.clone();
    let remove = move || may_change().then(|| remove_form(&model, acts.remove));
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="Model"><code>{price.model}</code></td>
            <td class="c-table__place" data-label="For a million tokens">{price.prices.in_words()}</td>
            <td class="c-table__place" data-label="Since"><Time at=price.valid_from /> ", set by " {price.set_by}</td>
            <td class="c-table__act c-table__wide">{remove}</td>
        </tr>
    }
}

/// Used, and without a price to this day.
fn without(models: Vec<UnpricedModel>) -> impl IntoView {
    (!models.is_empty()).then(|| {
        let item = |one: UnpricedModel| {
            let words = used_it(one.attempts);
            view! { <li><code>{one.model}</code> " has none, and " {words}</li> }
        };
        view! { <ul aria-label="Models without a price">{models.into_iter().map(item).collect_view()}</ul> }
    })
}

/// `1 attempt used it`
fn used_it(attempts: i64) -> String {
    format!("{} used it", count(usize::try_from(attempts).unwrap_or_default(), "attempt"))
}

/// Opens without scripts, and where something in it was wrong.
fn set_form(acts: PriceActs) -> impl IntoView {
    let set = acts.set;
    let is_wrong = set.value().with_untracked(|answer| matches!(answer, Some(Err(_))));
    let wrong = move |pointer: &'static str| {
        Signal::derive(move || {
            let problem = set.value().get().and_then(Result::err);
            messages(problem.as_ref(), pointer)
        })
    };
    let (model, input, output) = (wrong("/model"), wrong("/input_micros"), wrong("/output_micros"));
    let (read, write) = (wrong("/cache_read_micros"), wrong("/cache_write_micros"));
    view! {
        <Reveal text="Set a price…" shape=Icon::Plus about="of a model" open=is_wrong>
            <ActionForm action=set>
                <TextField
                    id="price-model"
                    label="Model"
                    name="model"
                    required=true
                    code=true
                    max=MODEL_MAX as u32
                    hint="Exactly as sessions name it."
                    errors=model
                />
                <TextField
                    id="price-input"
                    label="Input"
                    name="input"
                    required=true
                    code=true
                    hint="Dollars for a million tokens, such as 3 or 0.075."
                    errors=input
                />
                <TextField id="price-output" label="Output" name="output" required=true code=true errors=output />
                <TextField
                    id="price-cache-read"
                    label="Input from a cache"
                    name="cache_read"
                    optional=true
                    code=true
                    hint="As other input when it is left empty."
                    errors=read
                />
                <TextField
                    id="price-cache-write"
                    label="Input to a cache"
                    name="cache_write"
                    optional=true
                    code=true
                    hint="As other input when it is left empty."
                    errors=write
                />
                <Button text="Set the price" kind=ButtonKind::Primary busy=set.pending() />
            </ActionForm>
        </Reveal>
    }
}

/// Opens without scripts, and says first what it means.
fn remove_form(model: &str, remove: ServerAction<RemoveModelPrice>) -> impl IntoView + use<> {
    let (value, about) = (model.to_owned(), model.to_owned());
    view! {
        <Reveal text="Remove…" shape=Icon::Close about=about danger=true>
            <ActionForm action=remove>
                <input type="hidden" name="model" value=value />
                <p>"What it costs from now on is unknown. What was used before keeps the price of its time."</p>
                <Button text="Remove the price" kind=ButtonKind::Danger busy=remove.pending() />
            </ActionForm>
        </Reveal>
    }
}

#[cfg(test)]
mod tests {
    use domain::FieldError;

    use super::*;

    #[test]
    fn a_field_is_called_as_it_is_labelled() {
        let called = |pointer: &str| {
            let error = FieldError { pointer: pointer.into(), code: "malformed".into(), message: "must be dollars".into() };
            as_labelled(Problem::invalid(vec![error], "Nothing was set.")).errors.remove(0).pointer
        };
        assert_eq!(["/model", "/input_micros", "/cache_write_micros"].map(called), ["/model", "/input", "/input to a cache"]);
    }

    #[test]
    fn how_many_used_it_is_said_in_words() {
        assert_eq!((used_it(1).as_str(), used_it(12).as_str()), ("1 attempt used it", "12 attempts used it"));
    }
}
