"""What every route shares: errors as problem details, headers, admission, health, the documents."""
