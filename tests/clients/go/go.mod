module eastwest.dev/tests/clients

go 1.19
