//! `#[derive(Fields)]` on a struct; an enum is done in `inputs`.

use crate::attribute::{Place, Special, doc, named, place};
use crate::inputs;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Lifetime, Result, parse_quote};

pub fn derive(input: &DeriveInput) -> Result<TokenStream> {
    if let Data::Enum(data) = &input.data {
        return inputs::derive(input, data);
    }
    let fields = named(input)?;
    let name = &input.ident;
    let lifetime: Lifetime = match input.generics.lifetimes().next() {
        Some(parameter) => parameter.lifetime.clone(),
        None => parse_quote!('__a),
    };
    let arguments = (!input.generics.params.is_empty()).then(|| quote!(<#lifetime>));
    let columns = format_ident!("__{}Columns", name);
    let (mut declared, mut flags, mut types, mut opens, mut reads) = (vec![], vec![], vec![], vec![], vec![]);
    for field in fields {
        let (ident, ty, doc) = (&field.ident, &field.ty, doc(&field.attrs));
        match place(field)? {
            Place::Column(path) => {
                let index = declared.len();
                let cell = quote!(<#ty as ::pelton_sdk::cell::Cell<#lifetime>>);
                declared.push(quote!(::pelton_sdk::batch::field(#path, #cell::KIND, #cell::OPTIONAL, #doc)));
                types.push(quote!(#ident: #cell::Reader));
                opens.push(quote!(#ident: source.field::<#ty>(#index, #path)?));
                reads.push(quote!(#ident: #cell::read(&columns.#ident, index)));
            }
            Place::Special(special) => {
                let wrapper = wrapper(special, &lifetime);
                let read = quote!(<#wrapper as ::pelton_sdk::rows::Special<#lifetime>>);
                flags.push(special.flag());
                types.push(quote!(#ident: #read::Reader));
                opens.push(quote!(#ident: source.special::<#wrapper>()?));
                reads.push(quote!(#ident: #read::read(&columns.#ident, index)));
            }
        }
    }
    Ok(quote! {
        #[doc(hidden)]
        pub struct #columns<#lifetime> { #(#types,)* __lifetime: ::std::marker::PhantomData<&#lifetime ()> }

        impl<#lifetime> ::pelton_sdk::rows::Fields<#lifetime> for #name #arguments {
            type Columns = #columns<#lifetime>;
            fn declare() -> ::std::vec::Vec<::pelton_sdk::bindings::types::Field> {
                ::std::vec![#(#declared),*]
            }
            fn identity() -> ::pelton_sdk::bindings::types::Identity {
                ::pelton_sdk::bindings::types::Identity::empty() #(| ::pelton_sdk::bindings::types::Identity::#flags)*
            }
            fn open(source: &::pelton_sdk::rows::Source<#lifetime>) -> ::std::result::Result<Self::Columns, ::std::string::String> {
                let _ = source;
                ::std::result::Result::Ok(#columns { #(#opens,)* __lifetime: ::std::marker::PhantomData })
            }
            #[inline]
            fn read(columns: &Self::Columns, index: usize) -> Self {
                let _ = (columns, index);
                #name { #(#reads,)* }
            }
        }
    })
}

/// The type that an identity column is read as.
fn wrapper(special: Special, lifetime: &Lifetime) -> TokenStream {
    let rows = quote!(::pelton_sdk::rows);
    match special {
        Special::PartitionKey => quote!(#rows::PartitionKey<#lifetime>),
        Special::EventTime => quote!(#rows::EventTime),
        Special::ArrivalTime => quote!(#rows::ArrivalTime),
        Special::Position => quote!(#rows::Position<#lifetime>),
        Special::Payload => quote!(#rows::Payload<#lifetime>),
    }
}
