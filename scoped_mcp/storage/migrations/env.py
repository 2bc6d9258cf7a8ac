"""How Alembic runs here: on the connection that `storage.schema` hands over, and no other."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=False,  # `storage.schema` owns the one transaction
)
context.run_migrations()
