//! Reading configuration: YAML with positions, decoded with every problem at once.
