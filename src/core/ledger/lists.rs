//! The lists of the ledger that are sections of an image: those that the table of sections puts here.

use crate::core::store::{rows::lists, sections::sections};

macro_rules! lists_of_this_part {
    ($(
        $number:literal $section:ident $name:literal since $since:literal: $row:ident
        $(in ledger.$list:ident: $List:ident)? $(in requests.$other:ident: $Other:ident)?
        $(in orders.$third:ident: $Third:ident)? { $($columns:tt)* }
        $(before $version:literal: $older:ident { $($older_columns:tt)* })*
    )+) => {
        lists!(ledger::Ledger { $($($list: $List,)?)+ });
    };
}
sections!(lists_of_this_part);
