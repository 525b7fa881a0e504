//! A table that becomes a list of cards where there is no room for columns. Cells name their column with `data-label`.

use leptos::prelude::*;

/// `columns` are the headings, with a class for the column's width; the rows are the children.
#[component]
pub fn DataTable(
    /// Says what the table holds, for people who do not see it.
    #[prop(into)]
    caption: String,
    columns: &'static [(&'static str, &'static str)],
    children: Children,
) -> impl IntoView {
    view! {
        <div class="c-table-box">
        <table class="c-table">
            <caption class="u-unseen">{caption}</caption>
            <thead>
                <tr>
                    {columns
                        .iter()
                        .map(|(heading, class)| view! { <th scope="col" class=*class>{*heading}</th> })
                        .collect_view()}
                </tr>
            </thead>
            <tbody>{children()}</tbody>
        </table>
        </div>
    }
}
