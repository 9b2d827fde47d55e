"""From a configuration to a running gateway, and what it tells about itself. Plain Python, one thread.

wanted      model  fields  endpoint       what a configuration is, and how each value is written
            load  places  part  check     reading one: every mistake with its place (problems)
            edit  resolve                 small changes to one; which port a route leaves by
way there   plan  actions/  apply         what to do, in which order, all of it or nothing
            plane                         what is asked of an engine; native  native_sockets do it,
                                          snapshot  native_views  native_socket_views  native_snmp show it
running     gateway  daemon  runtime      one gateway; its life; its socket
            notify  log  links            what the service manager, the log and the kernel's links are told or tell
            api  server  client           HTTP on the Unix socket, and the command line's side of it
            views  rates  filter          what `show` gives, and of what
programs    launch  program_settings      what `pronghorn run` does; what a configuration says to a program
            direct  private               a link without a keeper; a gateway for one program alone
            examine  elf                  what stands in a program's way
            register                      the sockets of programs, as they tell of them
            welcome  lanes                what a program is told when it attaches; its link to a gateway
            numbers                       secrets of sequence numbers that outlive a program
            attach_server  keeper         the gateway's socket for programs; who may come, and what they may claim
            who  kernel_ports             what the kernel knows of a process, and of its own sockets
            native_programs               what the keeper asks of the engine
who may     access_settings               sets, and what names them; native_access does it
health/     native_health                 whether servers can be used; what the engine does about it
servers     reach  methods  native_servers    how packets reach them; what the engine does about servers
            scheduling                    how servers are chosen, and their limits
            native_totals                 what workers learn of each other's connections; slow starts
options     options  proxy                what services ask beyond the usual
            native_options  native_clients    what the engine does about it, and shows
texts       problems  trouble             errors that say what to do
            describe  reference           the model in words: for messages and for docs/reference
"""
