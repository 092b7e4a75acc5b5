//! Arguments of a source block, its nested blocks included.

use std::collections::BTreeMap;

use hcl::expr::Expression;
use hcl::{Block, BlockBuilder};

/// Arguments by name, in the order in which they came. `BLOCK.NAME` is an argument of a nested block.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    own: Vec<(String, Expression)>,
    nested: BTreeMap<String, Arguments>,
}

impl Arguments {
    /// Adds one argument.
    pub(super) fn add(&mut self, name: &str, value: Expression) {
        match name.split_once('.') {
            None => self.own.push((name.to_owned(), value)),
            Some((block, name)) => self.nested.entry(block.to_owned()).or_default().add(name, value),
        }
    }

    /// Puts them into a block.
    pub(super) fn put(self, block: BlockBuilder) -> BlockBuilder {
        let block = self.own.into_iter().fold(block, BlockBuilder::add_attribute);
        let nested = |(name, arguments): (String, Self)| arguments.put(Block::builder(name)).build();
        block.add_blocks(self.nested.into_iter().map(nested))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_dot_is_an_argument_of_a_nested_block() {
        let mut arguments = Arguments::default();
        for (name, value) in [("disk.size", 50), ("name", 1), ("disk.kind", 2)] {
            arguments.add(name, value.into());
        }
        let block = arguments.put(Block::builder("source")).build();
        let text = hcl::format::to_string(&hcl::Body::builder().add_block(block).build()).unwrap();
        let read: hcl::Value = hcl::from_str(&text).unwrap();
        let wanted = hcl::value!({ source = { name = 1, disk = { size = 50, kind = 2 } } });
        assert_eq!(read, wanted, "{text}");
    }
}
