"""The only package that knows every stage: inputs -> demand -> advice -> simulation -> money -> documents."""
