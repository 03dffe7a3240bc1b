"""What the book shows and says: figures, tables, sentences, the paper's own numbers, records of long runs."""
