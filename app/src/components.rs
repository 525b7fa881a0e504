//! The component library. A component knows no noun, no server function and no context but the clock, the toasts and the theme:
//! it takes data and callbacks. What knows a noun lives in the noun's folder.
//!
//! Each has a style sheet of its name in `style/components/`. `/dev/components` of a debug build shows all of them in every state.

pub mod badge;
pub mod button;
pub mod change_lines;
pub mod copy_button;
pub mod data_table;
pub mod dialog;
pub mod diff_view;
pub mod facts;
pub mod feedback;
pub mod field;
pub mod html;
pub mod icon;
pub mod log_view;
pub mod page_links;
pub mod reveal;
pub mod theme_switch;
pub mod time;
pub mod toast;
pub mod tool_changes;

pub use badge::{Badge, Tone};
pub use button::{Button, ButtonKind, LinkButton};
pub use copy_button::CopyButton;
pub use data_table::DataTable;
pub use dialog::Dialog;
pub use diff_view::DiffView;
pub use feedback::{Empty, ErrorView, Loading, Notice};
pub use field::{Choice, SelectField, TextAreaField, TextField};
pub use icon::{Icon, icon};
pub use log_view::LogView;
pub use reveal::Reveal;
pub use theme_switch::ThemeSwitch;
pub use time::{Elapsed, Time, TimeOfDay};
