"""What other packages make of this one; each module needs the extra that is named like it."""
