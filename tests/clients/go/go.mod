module periskop.test/app

go 1.21

require github.com/periskop-dev/periskop-go v0.0.0-20220512172842-c5603b259677

require github.com/google/uuid v1.1.1 // indirect
