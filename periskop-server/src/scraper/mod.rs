//! s
mod body;
mod budget;
mod buffers;
mod failure;
