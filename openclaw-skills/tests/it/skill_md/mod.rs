//! SKILL.md: what is read, what is reported, what is loaded.

mod agreement;
mod bounds;
mod bundle;
mod catalog;
mod loading;
mod places;
mod reports;
