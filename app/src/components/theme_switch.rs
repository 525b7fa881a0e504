//! Light, dark, or as the system has it. The choice is this browser's: it is kept there, and read again before the next page is
//! painted, by the few lines of script in the shell.

use leptos::prelude::*;

/// Where the choice is kept. The shell reads the same key.
pub const STORAGE_KEY: &str = "muster-theme";

const THEMES: [(&str, &str); 3] = [("system", "System"), ("light", "Light"), ("dark", "Dark")];

#[component]
pub fn ThemeSwitch() -> impl IntoView {
    let chosen = RwSignal::new("system".to_owned());
    Effect::new(move |_| {
        if let Some(kept) = document().document_element().and_then(|root| root.get_attribute("data-theme")) {
            chosen.set(kept);
        }
    });
    view! {
        <fieldset class="c-theme u-js">
            <legend class="u-unseen">"Theme"</legend>
            {THEMES
                .map(|(theme, text)| {
                    view! {
                        <label class="c-theme__choice">
                            <input
                                type="radio"
                                name="theme"
                                value=theme
                                checked=theme == "system"
                                prop:checked=move || chosen.with(|chosen| chosen == theme)
                                on:change=move |_| {
                                    choose(theme);
                                    chosen.set(theme.to_owned());
                                }
                            />
                            <span>{text}</span>
                        </label>
                    }
                })}
        </fieldset>
    }
}

fn choose(theme: &str) {
    let Some(root) = document().document_element() else { return };
    let storage = window().local_storage().ok().flatten();
    if theme == "system" {
        _ = root.remove_attribute("data-theme");
        _ = storage.map(|storage| storage.remove_item(STORAGE_KEY));
    } else {
        _ = root.set_attribute("data-theme", theme);
        _ = storage.map(|storage| storage.set_item(STORAGE_KEY, theme));
    }
}
