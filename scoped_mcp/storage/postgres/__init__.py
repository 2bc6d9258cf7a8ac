"""PostgreSQL 15 to 18: any number of server processes on one database.

Every work first takes the organisation's advisory lock: shared where it may run beside others,
exclusive where it may not. What it checks is therefore in force until it is done, in every process
(ruling 53).
"""
