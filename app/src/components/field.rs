//! Form fields: a label, the control, a hint, and what is wrong with it. They are native controls with real names, so a form works
//! before and without scripts; what is typed stays in the control.

use leptos::prelude::*;

use super::html::in_a_text_area;

/// What surrounds a control. The control's `aria-describedby` names the ids made here.
#[component]
fn Field(
    id: String,
    label: String,
    hint: Option<String>,
    errors: Signal<Vec<String>>,
    optional: bool,
    children: Children,
) -> impl IntoView {
    view! {
        <div class="c-field">
            <label class="c-field__label" for=id.clone()>
                {label}
                {optional.then(|| view! { <span class="c-field__optional">"optional"</span> })}
            </label>
            {children()}
            {hint.map(|hint| view! { <p class="c-field__hint" id=format!("{id}-hint")>{hint}</p> })}
            <p class="c-field__error" id=format!("{id}-error")>{move || error_text(errors.get())}</p>
        </div>
    }
}

/// Nothing at all where nothing is wrong, so that the style sheet can tell.
pub fn error_text(errors: Vec<String>) -> Option<String> {
    (!errors.is_empty()).then(|| errors.join(" "))
}

fn described_by(id: &str, hint: &Option<String>) -> String {
    match hint {
        Some(_) => format!("{id}-hint {id}-error"),
        None => format!("{id}-error"),
    }
}

fn invalid(errors: Signal<Vec<String>>) -> impl Fn() -> Option<&'static str> + Send + Sync + 'static {
    move || (!errors.with(Vec::is_empty)).then_some("true")
}

/// One line of text.
#[component]
pub fn TextField(
    #[prop(into)] id: String,
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    #[prop(default = "text")] kind: &'static str,
    #[prop(optional, into)] value: String,
    #[prop(optional, into)] hint: Option<String>,
    #[prop(optional, into)] errors: Signal<Vec<String>>,
    #[prop(optional)] required: bool,
    /// Says "optional" beside the label.
    #[prop(optional)]
    optional: bool,
    #[prop(optional)] autofocus: bool,
    /// Written in letters of one width, without help for spelling.
    #[prop(optional)]
    code: bool,
    #[prop(optional, into)] autocomplete: Option<&'static str>,
    #[prop(optional, into)] placeholder: Option<&'static str>,
    #[prop(optional, into)] max: Option<u32>,
    #[prop(optional, into)] min: Option<u32>,
    /// The id of a `<datalist>` with suggestions.
    #[prop(optional, into)]
    list: Option<&'static str>,
) -> impl IntoView {
    let describes = described_by(&id, &hint);
    view! {
        <Field id=id.clone() label=label hint=hint errors=errors optional=optional>
            <input
                class=if code { "c-input c-input--code" } else { "c-input" }
                id=id
                name=name
                type=kind
                value=value
                required=required
                autofocus=autofocus
                autocomplete=autocomplete
                placeholder=placeholder
                maxlength=max
                minlength=min
                list=list
                spellcheck=code.then_some("false")
                autocapitalize=code.then_some("none")
                aria-describedby=describes
                aria-invalid=invalid(errors)
            />
        </Field>
    }
}

/// Several lines of text.
#[component]
pub fn TextAreaField(
    #[prop(into)] id: String,
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    #[prop(optional, into)] value: String,
    #[prop(optional, into)] hint: Option<String>,
    #[prop(optional, into)] errors: Signal<Vec<String>>,
    #[prop(optional)] optional: bool,
    #[prop(optional)] code: bool,
    #[prop(default = 3)] rows: u32,
    #[prop(optional, into)] placeholder: Option<&'static str>,
    #[prop(optional, into)] max: Option<u32>,
) -> impl IntoView {
    let describes = described_by(&id, &hint);
    view! {
        <Field id=id.clone() label=label hint=hint errors=errors optional=optional>
            <textarea
                class=if code { "c-input c-input--area c-input--code" } else { "c-input c-input--area" }
                id=id
                name=name
                rows=rows
                placeholder=placeholder
                maxlength=max
                spellcheck=code.then_some("false")
                aria-describedby=describes
                aria-invalid=invalid(errors)
                inner_html=in_a_text_area(&value)
            ></textarea>
        </Field>
    }
}

/// What a person can choose: the value that is sent, and the words for it.
pub type Choice = (&'static str, &'static str);

#[component]
pub fn SelectField(
    #[prop(into)] id: String,
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    #[prop(into)] value: String,
    choices: Vec<Choice>,
    /// Below them, what is only known when the page is made.
    #[prop(optional)]
    more: Vec<(String, String)>,
    #[prop(optional, into)] hint: Option<String>,
    #[prop(optional, into)] errors: Signal<Vec<String>>,
) -> impl IntoView {
    let describes = described_by(&id, &hint);
    let chosen = options(choices, &value);
    let more = own_options(more, &value);
    view! {
        <Field id=id.clone() label=label hint=hint errors=errors optional=false>
            <select class="c-input c-input--select" id=id name=name aria-describedby=describes aria-invalid=invalid(errors)>
                {chosen}
                {more}
            </select>
        </Field>
    }
}

/// The options of a select, with one of them chosen.
pub fn options(choices: Vec<Choice>, chosen: &str) -> impl IntoView + use<> {
    choices.into_iter().map(|(value, text)| view! { <option value=value selected=value == chosen>{text}</option> }).collect_view()
}

/// Of choices whose words are only known when the page is made.
pub fn own_options(choices: Vec<(String, String)>, chosen: &str) -> impl IntoView + use<> {
    let option = |(value, text): (String, String)| {
        let is_chosen = value == chosen;
        view! { <option value=value selected=is_chosen>{text}</option> }
    };
    choices.into_iter().map(option).collect_view()
}
