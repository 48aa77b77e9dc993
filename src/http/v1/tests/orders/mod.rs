//! Orders, volumes and periods in this process, without sockets. Every answer is compared with its
//! description.

mod batch;
mod columns;
mod feed;
mod lists;
mod opening;
mod orders;
mod past;
mod periods;
mod shop;
mod support;
mod volumes;
