//! Small drawings on a 16 × 16 grid, drawn with the colour of the text around them. They carry no meaning of their own: the text
//! beside them does, so they are hidden from assistive technology.

use leptos::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Alert,
    ArrowDown,
    Ask,
    Ban,
    Board,
    Check,
    Clock,
    Close,
    Copy,
    Cross,
    Diff,
    Dots,
    Download,
    Eye,
    Fast,
    File,
    Flow,
    Gauge,
    Half,
    Home,
    Key,
    List,
    Machine,
    Pause,
    Pen,
    Play,
    Plus,
    Retry,
    Ring,
    Scan,
    Search,
    Shield,
    Skip,
    Square,
    Terminal,
    Wrap,
}

impl Icon {
    /// The drawing itself, for the attribute `d`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Alert => "M8 2.2 14.4 13.4H1.6ZM8 6.5v3.2M8 11.6v.1",
            Self::ArrowDown => "M8 2.5v10.4M3.8 8.8 8 13l4.2-4.2",
            Self::Ask => "M2.2 2.4h11.6v8.8H8.2L5 14v-2.8H2.2ZM6.5 5.7a1.5 1.5 0 1 1 2.2 1.3C8.2 7.3 8 7.5 8 7.9M8 9.3v.1",
            Self::Ban => "M8 1.9a6.1 6.1 0 1 0 0 12.2A6.1 6.1 0 0 0 8 1.9ZM3.8 12.2l8.4-8.4",
            Self::Board => "M2.4 2.8h3v10.4h-3ZM6.6 2.8h3v6.4h-3ZM10.8 2.8h3v8.4h-3Z",
            Self::Check => "M8 1.9a6.1 6.1 0 1 0 0 12.2A6.1 6.1 0 0 0 8 1.9ZM5.2 8.2l2 2 3.6-4.2",
            Self::Clock => "M8 1.9a6.1 6.1 0 1 0 0 12.2A6.1 6.1 0 0 0 8 1.9ZM8 4.8V8l2.2 1.7",
            Self::Close => "M3.8 3.8l8.4 8.4M12.2 3.8l-8.4 8.4",
            Self::Copy => "M5.6 5.6V2.8h7.6v7.6h-2.8M2.8 5.6h7.6v7.6H2.8Z",
            Self::Cross => "M8 1.9a6.1 6.1 0 1 0 0 12.2A6.1 6.1 0 0 0 8 1.9ZM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4",
            Self::Diff => "M8 2.5v6M5 5.5h6M5 12.5h6",
            Self::Dots => {
                "M2.6 8a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0M7.3 8a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0M12 8a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0"
            }
            Self::Download => "M8 2.2v7.4M4.8 6.6 8 9.8l3.2-3.2M2.6 13.4h10.8",
            Self::Eye => "M1.6 8S4 3.6 8 3.6 14.4 8 14.4 8 12 12.4 8 12.4 1.6 8 1.6 8ZM8 6.1a1.9 1.9 0 1 0 0 3.8 1.9 1.9 0 0 0 0-3.8Z",
            Self::Fast => "M3 4l4.4 4L3 12M8.6 4 13 8l-4.4 4",
            Self::File => "M3.6 1.9h5.6l3.2 3.2v9H3.6ZM9 1.9v3.4h3.4",
            Self::Flow => "M2 5.6h4v4.8H2ZM10 2.2h4V7h-4ZM10 9h4v4.8h-4ZM6 8h2M8 4.6h2M8 4.6v6.8h2",
            Self::Gauge => "M2 11.8a6 6 0 1 1 12 0M8 11l2.8-4",
            Self::Half => "M8 1.9a6.1 6.1 0 1 0 0 12.2A6.1 6.1 0 0 0 8 1.9ZM8 2v12M10 3v10M12 4.5v7",
            Self::Home => "M2.4 7.4 8 2.4l5.6 5V13.6H9.8V10H6.2v3.6H2.4Z",
            Self::Key => "M5 7.6a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4ZM7 8.4l6-6M10.6 4.8l2 2",
            Self::List => "M2.4 4h.1M2.4 8h.1M2.4 12h.1M5.4 4h8.2M5.4 8h8.2M5.4 12h8.2",
            Self::Machine => "M2.4 3h11.2v4.2H2.4ZM2.4 8.8h11.2V13H2.4ZM4.8 5.1h.1M4.8 10.9h.1",
            Self::Pause => "M5.4 3.4v9.2M10.6 3.4v9.2",
            Self::Pen => "M10.8 2.6 13.4 5.2 5.6 13 2.4 13.6 3 10.4ZM9.2 4.2l2.6 2.6",
            Self::Play => "M4.4 2.8 12.8 8l-8.4 5.2Z",
            Self::Plus => "M8 2.8v10.4M2.8 8h10.4",
            Self::Retry => "M13 8a5 5 0 1 1-1.6-3.7M13.2 1.9v3h-3",
            Self::Ring => "M8 2.2A5.8 5.8 0 1 1 2.2 8",
            Self::Scan => "M7 2.6a4.4 4.4 0 1 0 0 8.8 4.4 4.4 0 0 0 0-8.8ZM10.3 10.3l3.5 3.5M5.2 7.1l1.3 1.3 2.4-2.7",
            Self::Search => "M7 2.6a4.4 4.4 0 1 0 0 8.8 4.4 4.4 0 0 0 0-8.8ZM10.3 10.3l3.5 3.5",
            Self::Shield => "M8 1.8 13.2 3.6v4c0 3.2-2.1 5.5-5.2 6.7C4.9 13.1 2.8 10.8 2.8 7.6v-4ZM5.6 7.9l1.7 1.7 3.1-3.5",
            Self::Skip => "M3 4l4.4 4L3 12M8.2 4l4.4 4-4.4 4M14 3.8v8.4",
            Self::Square => "M2.6 2.6h10.8v10.8H2.6ZM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4",
            Self::Terminal => "M2.6 3.4 6.6 8l-4 4.6M8 12.6h5.4",
            Self::Wrap => "M2.4 4h11.2M2.4 8h8.8a2.2 2.2 0 0 1 0 4.4H8.4M10 10.6l-1.8 1.8 1.8 1.8M2.4 12h2.4",
        }
    }
}

/// Draws it. What turns is drawn turning by the style sheet, unless the person asked for less motion.
pub fn icon(icon: Icon) -> impl IntoView {
    let class = if icon == Icon::Ring { "c-icon c-icon--turning" } else { "c-icon" };
    view! {
        <svg class=class viewBox="0 0 16 16" aria-hidden="true">
            <path d=icon.path() />
        </svg>
    }
}
