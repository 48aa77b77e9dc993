//! The lists of orders that are sections of an image: those that the table of sections puts here.

use crate::core::store::{rows::lists, sections::sections};

macro_rules! lists_of_this_part {
    ($(
        $number:literal $section:ident $name:literal since $since:literal: $row:ident
        $(in ledger.$other:ident: $Other:ident)? $(in requests.$third:ident: $Third:ident)?
        $(in orders.$list:ident: $List:ident)? { $($columns:tt)* }
        $(before $version:literal: $older:ident { $($older_columns:tt)* })*
    )+) => {
        lists!(orders::Orders { $($($list: $List,)?)+ });
    };
}
sections!(lists_of_this_part);
