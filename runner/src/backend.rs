//! What does the work inside an attempt. A backend says which processes to start and with what around them; starting, logging and
//! ending them is the same for all.

pub(crate) mod shell;
